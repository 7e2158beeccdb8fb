// `npm run images`: makes the images that docker-compose.yml and Dockerfile name, under the very same names, from
// packages of Debian, npm and Go: for machines that reach those but no registry of images. Only .ci/run does it: on any other
// machine the names must mean what they say. What a real image lacks (curl, say) is missing here too, so that a health check
// that passes here passes there. The base is Debian 12.

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { imagesOfProject } from '../compose.ts'
import { findTools } from '../tools.ts'

/** How an image is made. */
interface Recipe {
  readonly packages: readonly string[]
  /** Programs by their path in the image. */
  readonly programs?: Readonly<Record<string, string>>
  /** Links: the path in the image, and where it leads. */
  readonly links?: Readonly<Record<string, string>>
  /** Folders by owner. */
  readonly folders?: Readonly<Record<string, number>>
  /** As in a Dockerfile. */
  readonly changes: readonly string[]
}

const ROOT = join(import.meta.dir, '..', '..')
const PACKAGES = join(ROOT, '.cache', 'images')

const NOBODY = 65_534

/** A Debian with a shell, as slim as the one that most images are made from. */
const DEBIAN = [
  ...['base-files', 'bash', 'ca-certificates', 'coreutils', 'grep', 'sed'],
  ...['libacl1', 'libattr1', 'libc6', 'libgcc-s1', 'libgmp10', 'libpcre2-8-0'],
  ...['libselinux1', 'libssl3', 'libstdc++6', 'libtinfo6'],
]

/** What the images of Prometheus' projects hold beside their program: a shell of few words, with wget. */
const BUSYBOX = {
  packages: ['libc6', 'busybox-static'],
  links: { '/bin/sh': 'busybox', '/bin/wget': 'busybox' },
}

const tools = await findTools()
/** The version of each image. */
const TAGS: Readonly<Record<string, string>> = Object.fromEntries(
  imagesOfProject().map((image) => image.split(':')),
)

/** By name without the tag. Conventions (users, paths, commands) are those of the projects' own Dockerfiles. */
const RECIPES: Readonly<Record<string, Recipe>> = {
  'oven/bun': {
    packages: DEBIAN,
    programs: { '/usr/local/bin/bun': process.execPath },
    changes: [
      'WORKDIR /home/bun/app',
      'CMD ["/usr/local/bin/bun"]',
      'ENV BUN_RUNTIME_TRANSPILER_CACHE_PATH=0',
      // The build installs packages, and this machine may have its own way to the registry.
      ...registryOfThisMachine(),
    ],
  },
  'envoyproxy/envoy': {
    packages: [...DEBIAN, 'openssl'],
    programs: { '/usr/local/bin/envoy': tools.envoy },
    changes: ['CMD ["envoy", "-c", "/etc/envoy/envoy.yaml"]', 'EXPOSE 10000'],
  },
  'ghcr.io/tursodatabase/libsql-server': {
    packages: DEBIAN,
    programs: { '/bin/sqld': tools.sqld },
    folders: { '/var/lib/sqld': 666 },
    changes: ['WORKDIR /var/lib/sqld', 'VOLUME /var/lib/sqld', 'EXPOSE 5001 8080'],
  },
  'prom/prometheus': {
    packages: [...BUSYBOX.packages, 'prometheus'],
    links: BUSYBOX.links,
    folders: { '/prometheus': NOBODY },
    changes: ['ENTRYPOINT ["/bin/prometheus"]', 'VOLUME /prometheus', 'EXPOSE 9090'],
  },
  'prom/alertmanager': {
    packages: [...BUSYBOX.packages, 'prometheus-alertmanager'],
    links: { ...BUSYBOX.links, '/bin/alertmanager': 'prometheus-alertmanager' },
    folders: { '/alertmanager': NOBODY },
    changes: ['ENTRYPOINT ["/bin/alertmanager"]', 'VOLUME /alertmanager', 'EXPOSE 9093'],
  },
  'prom/node-exporter': {
    packages: BUSYBOX.packages,
    links: BUSYBOX.links,
    // Debian's is too old to read the mounts of the host.
    programs: {
      '/bin/node_exporter': build(
        `github.com/prometheus/node_exporter@${TAGS['prom/node-exporter']}`,
      ),
    },
    changes: ['ENTRYPOINT ["/bin/node_exporter"]', 'EXPOSE 9100'],
  },
  'prom/blackbox-exporter': {
    packages: [...BUSYBOX.packages, 'prometheus-blackbox-exporter'],
    links: { ...BUSYBOX.links, '/bin/blackbox_exporter': 'prometheus-blackbox-exporter' },
    changes: ['ENTRYPOINT ["/bin/blackbox_exporter"]', 'EXPOSE 9115'],
  },
  'ghcr.io/google/cadvisor': {
    packages: BUSYBOX.packages,
    links: BUSYBOX.links,
    programs: { '/usr/bin/cadvisor': build(join(import.meta.dir, 'cadvisor')) },
    changes: ['ENTRYPOINT ["/usr/bin/cadvisor", "-logtostderr"]', 'EXPOSE 8080'],
  },
  'victoriametrics/victoria-logs': {
    packages: BUSYBOX.packages,
    links: BUSYBOX.links,
    programs: {
      '/victoria-logs-prod': build(
        `github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@${TAGS['victoriametrics/victoria-logs']}`,
      ),
    },
    changes: ['ENTRYPOINT ["/victoria-logs-prod"]', 'EXPOSE 9428'],
  },
  'otel/opentelemetry-collector-contrib': {
    packages: [],
    programs: { '/otelcol-contrib': build(join(import.meta.dir, 'otelcol')) },
    changes: ['ENTRYPOINT ["/otelcol-contrib"]', 'USER 10001:10001'],
  },
}

/** What cannot be had as a package anywhere. Without it the rest of the stack runs all the same. */
const UNOBTAINABLE = ['grafana/grafana']

if (import.meta.main)
  for (const image of imagesOfProject()) {
    const name = image.slice(0, image.lastIndexOf(':'))
    if (UNOBTAINABLE.includes(name)) continue
    const recipe = RECIPES[name]
    if (!recipe) throw new Error(`there is no recipe for ${image}`)
    assemble(image, recipe)
    console.log(`assembled ${image}`)
  }

function assemble(image: string, recipe: Recipe): void {
  const root = mkdtempSync(join(tmpdir(), 'munjigi-image-'))
  try {
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      mkdirSync(join(root, 'usr', name), { recursive: true })
      symlinkSync(join('usr', name), join(root, name))
    }
    for (const name of ['dev', 'etc', 'home', 'proc', 'run', 'sys']) mkdirSync(join(root, name))
    mkdirSync(join(root, 'tmp'))
    chmodSync(join(root, 'tmp'), 0o1777)
    chmodSync(root, 0o755)
    for (const name of recipe.packages) unpack(debian(name), root)
    fill(root, recipe)
    if (!existsSync(join(root, 'bin', 'sh'))) symlinkSync('bash', join(root, 'bin', 'sh'))
    const changes = recipe.changes.flatMap((change) => ['--change', change])
    shell('cd "$1" && shift && tar -c . | docker import "$@"', root, ...changes, '-', image)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function fill(root: string, { programs = {}, links = {}, folders = {} }: Recipe): void {
  for (const [path, source] of Object.entries(programs)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    copyFileSync(source, join(root, path))
    chmodSync(join(root, path), 0o755)
  }
  for (const [path, to] of Object.entries(links)) symlinkSync(to, join(root, path))
  for (const [path, owner] of Object.entries(folders)) {
    mkdirSync(join(root, path), { recursive: true })
    shell('chown "$1:$1" "$2"', String(owner), join(root, path))
  }
  const certificates = '/etc/ssl/certs/ca-certificates.crt'
  if (!existsSync(dirname(join(root, certificates)))) return
  writeFileSync(join(root, certificates), trustedHere())
}

/** What this machine trusts: what it reaches the registry through must be trusted in the image too. */
function trustedHere(): string {
  const files = ['/etc/ssl/certs/ca-certificates.crt', process.env['NODE_EXTRA_CA_CERTS']]
  return files.map((file) => (file ? readFileSync(file, 'utf8') : '')).join('')
}

function registryOfThisMachine(): string[] {
  const { stdout } = Bun.spawnSync(['npm', 'config', 'get', 'registry'])
  return [
    `ENV BUN_CONFIG_REGISTRY=${stdout.toString().trim()}`,
    'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt',
  ]
}

/** The path of a program in Go: of a module by version, or of a folder here. */
function build(what: string): string {
  const name = basename(what).replace(/@.*/, '')
  const [folder, verb] = what.includes('@') ? [ROOT, `install ${what}`] : [what, 'install .']
  const settings = `GOBIN="$1" CGO_ENABLED=0`
  shell(`cd "$2" && ${settings} go ${verb}`, PACKAGES, folder)
  return join(PACKAGES, name)
}

/** The path of a Debian package, fetched once; apt checks its signature. */
function debian(name: string): string {
  mkdirSync(PACKAGES, { recursive: true })
  const find = () => readdirSync(PACKAGES).find((file) => file.startsWith(`${name}_`))
  if (!find()) shell('cd "$1" && apt-get download --quiet=2 "$2"', PACKAGES, name)
  return join(PACKAGES, find() ?? name)
}

/** Its files only: no script of the package runs. */
function unpack(file: string, root: string): void {
  const without = ['doc', 'man', 'locale'].map((name) => `--exclude=./usr/share/${name}`)
  // Without the last option `bin`, a link, would become a folder.
  shell(
    'dpkg-deb --fsys-tarfile "$1" | (shift && tar -x --keep-directory-symlink "$@")',
    ...[file, '-C', root, ...without],
  )
}

function shell(script: string, ...args: string[]): void {
  const command = ['bash', '-eo', 'pipefail', '-c', script, 'assemble', ...args]
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: 'ignore', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(`${script}: ${stderr.toString().trim()}`)
}
