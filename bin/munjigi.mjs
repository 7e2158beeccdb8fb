#!/usr/bin/env node
// The way in: finds the Bun this project is pinned to, installs the packages once, and hands over to src/main.ts.
// Runs before anything is installed, hence plain JavaScript without packages, for Node 18 or later and for any Bun.
// A start that finds everything only reads. What is missing is made in a folder of its own and renamed into place,
// so that a launcher that is killed leaves nothing half made, and two at once do not disturb each other.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = 18
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
/** Commands of this checkout that need the development packages; all others are of the server. */
const DEVELOPMENT = {
  test: 'e2e/suite.ts',
  up: 'e2e/up.ts',
  status: 'e2e/status.ts',
  logs: 'e2e/logs.ts',
  rollout: 'e2e/rollout.ts',
  tools: 'e2e/tools.ts',
  images: 'e2e/images/assemble.ts',
  bench: 'bench/run.ts',
  drill: 'e2e/drill.ts',
}

const windows = process.platform === 'win32'
const bunFile = windows ? 'bun.exe' : 'bun'
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const packages = join(root, 'node_modules')
const store = join(root, '.bun')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const bunVersion = /^bun@([^+]+)/.exec(manifest.packageManager)[1]
const ownBun = join(store, bunVersion, bunFile)
/** Read now: it may be gone when all is installed. */
const parent = process.ppid

try {
  await start(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`munjigi: ${explain(error)}\n`)
  process.exitCode = error.exitCode ?? 1
}

async function start([command, ...rest]) {
  requireNode()
  const bun = findBun() ?? (await fetchBun())
  const script = Object.hasOwn(DEVELOPMENT, command ?? '') ? DEVELOPMENT[command] : undefined
  const forDevelopment = script !== undefined
  if (!isInstalled(packages, forDevelopment)) await install(bun, forDevelopment)
  if (!script) return handOver(bun, [join(root, 'src', 'main.ts'), ...process.argv.slice(2)])
  process.chdir(root)
  handOver(bun, [join(root, script), ...rest])
}

function requireNode() {
  if (process.versions.bun || Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return
  throw new Error(
    `Node.js ${process.versions.node} is too old. Install Node.js ${OLDEST_NODE} or later, or Bun ${bunVersion}, and start again.`,
  )
}

/** The pinned Bun: the one that runs this, our own copy, or one in PATH. */
function findBun() {
  // Under `bun start` this may be a link named node, and under that name Bun takes Node's arguments.
  if (process.versions.bun === bunVersion) return realpathSync(process.execPath)
  return [ownBun, ...inPath(bunFile)].find((file) => versionOf(file) === bunVersion)
}

function inPath(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  return folders.map((folder) => join(folder, name)).filter((file) => existsSync(file))
}

function versionOf(file) {
  if (!existsSync(file)) return undefined
  return spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout?.trim()
}

/**
 * Bun's program is in a package for this machine alone. The package `bun` would move it from there by an install
 * script, which npm 12, pnpm and careful people do not run.
 */
async function fetchBun() {
  const name = bunPackage()
  const [fetcher, ...args] = fetchCommand(`${name}@${bunVersion}`)
  say(`fetching Bun ${bunVersion} (once) …`)
  return inWorkshop(async (workshop) => {
    writeFileSync(join(workshop, 'package.json'), '{ "private": true }')
    copySettings(workshop, ['.npmrc'])
    const failed = await run(fetcher, args, workshop)
    const fetched = join(workshop, 'node_modules', name, 'bin', bunFile)
    if (failed || versionOf(fetched) !== bunVersion)
      throw new Error(
        `Bun ${bunVersion} could not be fetched. Check the network and npm's registry setting, or install that Bun yourself, and start again.`,
      )
    mkdirSync(dirname(ownBun), { recursive: true })
    renameSync(fetched, ownBun)
    return ownBun
  })
}

function bunPackage() {
  const system = windows ? 'windows' : process.platform
  const processor = process.arch === 'arm64' ? 'aarch64' : process.arch
  return `@oven/bun-${system}-${processor}${usesMusl() ? '-musl' : ''}`
}

function usesMusl() {
  if (process.platform !== 'linux') return false
  // Else the report looks up the name of every connected address first.
  process.report.excludeNetwork = true
  return !process.report.getReport().header.glibcVersionRuntime
}

/** npm, or another version of Bun: whichever is at hand, with the settings that the user gave it. */
function fetchCommand(wanted) {
  const viaBun = (bun) => [bun, 'add', '--ignore-scripts', wanted]
  if (process.versions.bun) return viaBun(realpathSync(process.execPath))
  const [npm] = inPath(windows ? 'npm.cmd' : 'npm')
  if (npm) {
    const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']
    // By itself npm tries for more than a minute before it says that there is no network.
    return ['npm', 'install', '--ignore-scripts', '--fetch-retries=1', ...quiet, wanted]
  }
  const [bun] = inPath(bunFile)
  if (bun) return viaBun(bun)
  throw new Error(
    `Bun ${bunVersion} is needed, and there is no npm in PATH to fetch it. Install Node.js with npm, or Bun ${bunVersion}, and start again.`,
  )
}

async function install(bun, forDevelopment) {
  // What somebody has installed is never taken away: development tools stay, whoever put them there.
  const all = forDevelopment || hasDevelopmentTools()
  say(`installing the packages${all ? ', development tools too' : ''} (once) …`)
  await inWorkshop(async (workshop) => {
    copySettings(workshop, ['package.json', 'bun.lock', 'bunfig.toml', '.npmrc'])
    const args = ['--no-orphans', 'install', '--frozen-lockfile', '--ignore-scripts']
    const failed = await run(bun, all ? args : [...args, '--production'], workshop)
    if (failed)
      throw new Error(
        'The packages could not be installed. Check the network, and that bun.lock fits package.json, and start again.',
      )
    const made = join(workshop, 'node_modules')
    writeFileSync(join(made, '.munjigi'), stamp(all))
    putInPlace(made, join(workshop, 'old'), forDevelopment)
  })
}

function hasDevelopmentTools() {
  return Object.keys(manifest.devDependencies).some((name) => existsSync(join(packages, name)))
}

/** Some packages hold programs of one system: a folder shared with a container must not pass for installed there. */
function stamp(all) {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'bun.lock')))
    .digest('hex')
  return `${all ? 'all' : 'production'} ${process.platform}-${process.arch} ${lock}\n`
}

function isInstalled(folder, forDevelopment) {
  const file = join(folder, '.munjigi')
  if (!existsSync(file)) return false
  const found = readFileSync(file, 'utf8')
  return found === stamp(true) || (!forDevelopment && found === stamp(false))
}

/** Of two launchers the first wins: the other finds its packages, maybe between two of its own steps, and keeps them. */
function putInPlace(made, old, forDevelopment) {
  while (existsSync(made) && !isInstalled(packages, forDevelopment)) {
    if (isInstalled(packages, false)) return addDevelopmentTools(made)
    rmSync(old, { recursive: true, force: true })
    move(packages, old)
    move(isInstalled(old, forDevelopment) ? old : made, packages)
  }
}

/** A server may be running on the packages that are there, which are the same ones: nothing of them is touched. */
function addDevelopmentTools(made) {
  addMissing(made, packages)
  renameSync(join(made, '.munjigi'), join(packages, '.munjigi'))
}

function addMissing(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (!existsSync(target)) move(source, target)
    else if (entry.isDirectory()) addMissing(source, target)
  }
}

/** Moves a folder or file. Does nothing if it is not there, or if a folder is in its new place. */
function move(from, to) {
  try {
    renameSync(from, to)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error
  }
}

/** Runs `work` in a new folder on the disk where its results belong, and removes the folder whatever happens. */
async function inWorkshop(work) {
  mkdirSync(store, { recursive: true })
  for (const name of readdirSync(store).filter(isLeftBehind)) discard(join(store, name))
  const workshop = mkdtempSync(join(store, `workshop-${process.pid}-`))
  try {
    return await work(workshop)
  } finally {
    discard(workshop)
  }
}

function discard(folder) {
  try {
    rmSync(folder, { recursive: true, force: true })
  } catch {
    // An npm that outlived its launcher still writes here. A later start removes the rest.
  }
}

/** Whether it is the workshop of a launcher that was killed. */
function isLeftBehind(name) {
  const [, pid] = /^workshop-(\d+)-/.exec(name) ?? []
  if (!pid) return false
  try {
    return !process.kill(Number(pid), 0)
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

function copySettings(workshop, names) {
  for (const name of names.filter((name) => existsSync(join(root, name))))
    copyFileSync(join(root, name), join(workshop, name))
}

/**
 * Runs npm or Bun to its end, silently unless it fails. Resolves to whether it failed; rejects if a signal ends us.
 * An optional package that could not be fetched is only a warning to Bun, but those are the programs for this machine.
 */
function run(program, args, cwd) {
  // On Windows npm is a batch file, which only a shell can start; no argument of ours needs quoting.
  const child = spawn(program, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: !windows,
    shell: windows && program === 'npm',
  })
  const output = []
  child.stdout.on('data', (chunk) => output.push(chunk))
  child.stderr.on('data', (chunk) => output.push(chunk))
  const passing = passSignals(child)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      passing.stop()
      if (passing.passed) return reject(stoppedBy(passing.passed))
      const text = Buffer.concat(output).toString()
      const failed = code !== 0 || text.includes('downloading tarball')
      if (failed) process.stderr.write(essence(text))
      resolve(failed)
    })
  })
}

/** What went wrong, without npm's stack traces and without a line of Bun's for each of fifty packages. */
function essence(text) {
  const lines = text.split('\n').filter(Boolean)
  const faults = lines.filter((line) => /^(npm error(?! +at )|error|warn|note)/.test(line))
  return `${(faults.length > 0 ? faults : lines).slice(0, 5).join('\n')}\n`
}

/** Becomes Bun where a process can (Node 22.15 and later, Bun) and npm is not above: signals and exit code are then its own. */
function handOver(bun, args) {
  // Nor may the current folder's bunfig.toml name a program that is run with our secrets.
  const options = ['--no-env-file', `--config=${join(root, 'bunfig.toml')}`, ...args]
  const byNpm = isScriptOfNpm(process.env.npm_lifecycle_script)
  if (process.execve && !windows && !byNpm) process.execve(bun, [bun, ...options], process.env)
  // Else it is a child, which ends with us even if we are killed.
  const child = spawn(bun, ['--no-orphans', ...options], { stdio: 'inherit', detached: !windows })
  const passing = passSignals(child)
  if (byNpm && !windows) endWithParent(child, passing)
  // A group of its own does not hear that the terminal has another size.
  if (!windows) process.on('SIGWINCH', () => child.kill('SIGWINCH'))
  child.on('exit', (code, signal) => process.exit(code ?? exitCodeOf(signal)))
}

/**
 * Whether npm runs the launcher and waits for it. A server that another script starts, as in a folder of our name, or that `&`
 * leaves behind, may outlive it.
 */
function isScriptOfNpm(script) {
  return /\bmunjigi(\.mjs)?['"]?( [^&]([^&]|>&|&&)*)?$/.test(script ?? '')
}

/**
 * npm and npx pass a signal on to the shell in which they start us, and dash, the sh of Debian, dies of it without a word to
 * us: the server would go on, with its port, when they have ended.
 */
function endWithParent(child, passing) {
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    if (!passing.passed) child.kill('SIGTERM')
  }, 250)
  watch.unref()
}

function stoppedBy(signal) {
  return Object.assign(new Error(`stopped by ${signal}.`), { exitCode: exitCodeOf(signal) })
}

function exitCodeOf(signal) {
  return 128 + constants.signals[signal]
}

/**
 * Passes each signal on to a child in a process group of its own, whose only source of signals we are. In our group it
 * would get those of a terminal (Ctrl-C) directly and a second time from us, and a second one means "at once".
 */
function passSignals(child) {
  const passing = { passed: undefined, stop: () => SIGNALS.map((s) => process.off(s, pass)) }
  function pass(signal) {
    passing.passed = signal
    // Windows tells every process of a console by itself, and knows no other signal than the end.
    if (!windows) child.kill(signal)
  }
  for (const signal of SIGNALS) process.on(signal, pass)
  return passing
}

function explain(error) {
  if (['EACCES', 'EPERM', 'EROFS'].includes(error.code))
    return `${root} cannot be written to, and something has to be installed there. Copy the project to a folder of your own, and start again.`
  return error.message
}

function say(text) {
  process.stderr.write(`munjigi: ${text}\n`)
}
