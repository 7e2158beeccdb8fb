// envoy/ without anything running: the file, what render.ts makes of it, and the certificate. Envoy's own check judges each.

import { afterAll, describe, expect, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EdgeSettings, Placement } from '../envoy/render.ts'
import { DEFAULTS, EDGE_YAML, readEdgeSettings, render } from '../envoy/render.ts'
import { ERRORS } from '../src/errors.ts'
import { canRunStack, findTools } from './tools.ts'

const ROOT = join(import.meta.dir, '..')
const folder = mkdtempSync(join(tmpdir(), 'munjigi-edge-'))
const yaml = readFileSync(EDGE_YAML, 'utf8')
const hasTools = await canRunStack()
const tools = hasTools ? await findTools() : { envoy: '', openssl: '' }

afterAll(() => rmSync(folder, { recursive: true }))

const placement: Placement = {
  addresses: ['127.0.0.1', '::1'],
  ports: { https: 28443, http: 28080, console: 28404, metrics: 29902 },
  adminSocket: join(folder, 'admin.sock'),
  eventLog: join(folder, 'events.log'),
  secrets: { file: join(folder, 'edge_cert.yaml'), folder },
  replicas: [{ name: 'replica-1', port: 23000 }],
}

const english: EdgeSettings = {
  hosts: ['auth.example.com'],
  healthCheck: { kind: 'tcp', failures: 5 },
  language: 'en',
  httpsPort: 8443,
}

/** What Envoy says of a configuration, and null when it has nothing to say. */
function complaint(name: string, text: string): string | null {
  const sds = readFileSync(join(ROOT, 'envoy', 'sds', 'edge_cert.yaml'), 'utf8')
  writeFileSync(
    join(folder, 'edge_cert.yaml'),
    sds.replaceAll('/certs', certificates('for-envoy').certs),
  )
  writeFileSync(join(folder, name), text)
  const options = ['--mode', 'validate', '--use-dynamic-base-id', '--log-level', 'warning']
  const { exitCode, stderr } = Bun.spawnSync(
    [tools.envoy, '--config-path', join(folder, name), ...options],
    // It opens /dev/stdout by name, which can be done with a file and not with a socket.
    { stdout: Bun.file(join(folder, 'stdout')) },
  )
  const output = stderr.toString().trim()
  return exitCode === 0 && output === '' ? null : `exit code ${exitCode} ${output}`
}

describe.skipIf(!hasTools)('envoy.yaml', () => {
  test('is accepted by Envoy without a warning, but for the paths of a container', () => {
    expect(complaint('as-it-is.yaml', yaml.replaceAll('/etc/envoy/sds', folder))).toBeNull()
  })

  test('is what render.ts makes of it by default', () => {
    expect(render(yaml, DEFAULTS)).toEqual(JSON.parse(JSON.stringify(Bun.YAML.parse(yaml))))
  })

  test('is accepted by Envoy with every setting and in every place', () => {
    const config = render(yaml, english, placement)
    expect(complaint('everything.json', JSON.stringify(config))).toBeNull()
  })

  test('is accepted by Envoy with names that it has already', () => {
    const hosts = readEdgeSettings({
      EDGE_HOST: 'localhost,envoy,a.example.com,a.example.com',
    }).hosts
    const config = render(yaml, { ...DEFAULTS, hosts }, placement)
    expect(complaint('twice.json', JSON.stringify(config))).toBeNull()
  })

  test.each(['ko', 'en'] as const)('refuses in the words of the service (%s)', (language) => {
    const replies = repliesIn(render(yaml, { ...DEFAULTS, language }))
    const shared = replies.filter(({ code }) => code in ERRORS)
    expect(new Set(shared.map(({ code }) => code))).toEqual(
      new Set([
        ...['NOT_FOUND', 'METHOD_NOT_ALLOWED', 'PAYLOAD_TOO_LARGE'],
        ...['RATE_LIMITED', 'SERVICE_UNAVAILABLE'],
      ]),
    )
    for (const { code, message } of shared)
      expect(message).toBe(ERRORS[code as keyof typeof ERRORS][language])
    const own = replies.filter(({ code }) => !(code in ERRORS))
    expect(own.every(({ code }) => code.startsWith('EDGE_'))).toBe(true)
    expect(own.every(({ message }) => /[가-힣]/.test(message) === (language === 'ko'))).toBe(true)
  })

  test("has browsers keep to HTTPS at one's own names, and at no name of localhost", () => {
    const hosts = ['auth.localhost', 'auth.example.com']
    const { listeners } = render(yaml, { ...DEFAULTS, hosts }).static_resources
    const strictAt = (strict: boolean) =>
      listeners
        .flatMap(({ filter_chains }) => filter_chains)
        .flatMap(({ filters }) => filters)
        .flatMap(({ typed_config }) => typed_config.route_config.virtual_hosts)
        .filter((host) => JSON.stringify(host).includes('strict-transport-security') === strict)
        .flatMap(({ domains }) => domains)
    expect(strictAt(true)).toEqual(['auth.example.com'])
    // To be served, and to be sent to HTTPS.
    expect(strictAt(false).filter((name) => name === 'auth.localhost')).toHaveLength(2)
  })

  test('asks for /readyz, or with the switch for a connect with its own threshold', () => {
    const [http] = checksOf(DEFAULTS)
    expect(http).toMatchObject({ unhealthy_threshold: 2, http_health_check: { path: '/readyz' } })
    const [tcp] = checksOf({ ...DEFAULTS, healthCheck: { kind: 'tcp', failures: 5 } })
    expect(tcp).toMatchObject({ unhealthy_threshold: 5, tcp_health_check: {} })
    expect(tcp).not.toHaveProperty('http_health_check')
  })
})

describe('requests that wait for their answers', () => {
  test('have a connection each, up to the limit of requests: HTTP/1.1 cannot share one', () => {
    const { static_resources } = Bun.YAML.parse(yaml) as {
      static_resources: {
        clusters: { name: string; circuit_breakers?: { thresholds: Record<string, number>[] } }[]
      }
    }
    const munjigi = static_resources.clusters.find(({ name }) => name === 'munjigi')
    const [limits] = munjigi?.circuit_breakers?.thresholds ?? []
    expect(limits?.['max_requests']).toBeGreaterThan(0)
    expect(limits?.['max_connections']).toBe(limits?.['max_requests'] ?? 0)
  })
})

test('docs/edge.md says how many connections there may be', () => {
  const [, most] = /max_active_downstream_connections: (\d+)/.exec(yaml) ?? []
  const page = readFileSync(join(ROOT, 'docs', 'edge.md'), 'utf8')
  expect(page).toContain(`Beyond ${Number(most).toLocaleString('en')} connections at once`)
})

describe('a heap that fills', () => {
  test.each([
    'docs/runbooks.md',
    'monitoring/prometheus/rules/alerts.yml',
    'monitoring/grafana/boards/edge.ts',
  ])('ends and refuses requests from where %s says', (path) => {
    const page = readFileSync(join(ROOT, path), 'utf8')
    const told = (pattern: RegExp) => Number(pattern.exec(page)?.[1]) / 100
    const { overload_manager } = Bun.YAML.parse(yaml) as {
      overload_manager: {
        actions: { name: string; triggers: { threshold: { value: number } }[] }[]
        loadshed_points: { triggers: { scaled: { scaling_threshold: number } }[] }[]
      }
    }
    const { actions, loadshed_points } = overload_manager
    const refuse = 'envoy.overload_actions.stop_accepting_requests'
    const action = actions.find(({ name }) => name === refuse)
    expect(told(/from (\d+) % on it refuses requests/)).toBe(
      action?.triggers[0]?.threshold.value ?? Number.NaN,
    )
    expect(told(/from (\d+) % on[^.;]*HTTP\/1\.1/i)).toBe(
      loadshed_points[0]?.triggers[0]?.scaled.scaling_threshold ?? Number.NaN,
    )
  })
})

function checksOf(settings: EdgeSettings) {
  const { clusters } = render(yaml, settings).static_resources
  return clusters.find(({ name }) => name === 'munjigi')?.health_checks ?? []
}

function repliesIn(node: unknown): { code: string; message: string }[] {
  if (typeof node !== 'object' || node === null) return []
  const children = Object.values(node).flatMap(repliesIn)
  if (!('message' in node && 'extensions' in node)) return children
  const { message, extensions } = node as { message: string; extensions: { code: string } }
  return [{ code: extensions.code, message }, ...children]
}

describe('settings of the edge', () => {
  test('are read from the environment', () => {
    expect(
      readEdgeSettings({
        EDGE_HOST: 'Auth.example.com, login.example.com',
        EDGE_HEALTH_CHECK: 'tcp:5',
        EDGE_HTTPS_PORT: '8443',
        MUNJIGI_MESSAGE_LANGUAGE: 'en',
      }),
    ).toEqual({ ...english, hosts: ['auth.example.com', 'login.example.com'] })
    expect(readEdgeSettings({ EDGE_HEALTH_CHECK: 'tcp' }).healthCheck).toEqual({
      kind: 'tcp',
      failures: 3,
    })
    expect(readEdgeSettings({ EDGE_HOST: '', EDGE_HTTPS_PORT: '' })).toEqual(DEFAULTS)
  })

  test.each(['192.168.1.5', '127.0.0.1', 'auth.example.com,10.0.0.1', '::1', '[2001:db8::1]'])(
    'take names only: %s is told to be an address',
    (EDGE_HOST) => {
      expect(() => readEdgeSettings({ EDGE_HOST })).toThrow('EDGE_HOST: must be host names, not IP')
    },
  )

  test('take names as browsers send them: one in Hangul is told how', () => {
    expect(() => readEdgeSettings({ EDGE_HOST: '인증.한국' })).toThrow('xn--')
  })

  test.each([
    { EDGE_HOST: 'https://auth.example.com' },
    { EDGE_HOST: '*' },
    { EDGE_HOST: 'auth.example.com:8443' },
    { EDGE_HEALTH_CHECK: 'none' },
    { EDGE_HEALTH_CHECK: 'tcp:0' },
    { EDGE_HTTPS_PORT: '70000' },
    { EDGE_HTTPS_PORT: 'https' },
    { MUNJIGI_MESSAGE_LANGUAGE: 'fr' },
  ])('that make no sense stop it, by name: %o', (environment) => {
    const [name = ''] = Object.keys(environment)
    expect(() => readEdgeSettings(environment)).toThrow(name)
  })
})

describe.skipIf(!hasTools)('certs.sh', () => {
  test('makes a pair that its CA vouches for, for localhost by name and address', () => {
    const { certs, ca } = certificates('new')
    const leaf = join(certs, 'live', 'tls.crt')
    expect(openssl('verify', '-CAfile', join(ca, 'ca.crt'), leaf)).toContain('OK')
    for (const [check, value] of [
      ['-checkhost', 'localhost'],
      ['-checkip', '127.0.0.1'],
      ['-checkip', '::1'],
    ] as const)
      expect(openssl('x509', '-in', leaf, '-noout', check, value)).toContain('does match')
  })

  test('keeps keys to their owner', () => {
    const { certs, ca } = certificates('owner')
    for (const key of [join(certs, 'live', 'tls.key'), join(ca, 'ca.key')])
      expect(statSync(key).mode & 0o777).toBe(0o600)
    expect(statSync(ca).mode & 0o077).toBe(0)
  })

  test('does nothing while the certificate is good, and makes another by force', () => {
    const { certs } = certificates('again')
    const serial = serialIn(certs)
    certificates('again')
    expect(serialIn(certs)).toBe(serial)
    certificates('again', { FORCE: '1' })
    expect(serialIn(certs)).not.toBe(serial)
  })

  test('renews what runs out within the time that is set, under the same CA', () => {
    const { certs, ca } = certificates('short', { LEAF_DAYS: '10' })
    const [serial, authority] = [serialIn(certs), readFileSync(join(ca, 'ca.crt'), 'utf8')]
    certificates('short', { LEAF_DAYS: '90' })
    expect(serialIn(certs)).not.toBe(serial)
    expect(readFileSync(join(ca, 'ca.crt'), 'utf8')).toBe(authority)
  })

  test('makes a CA that cannot vouch for other names', () => {
    const { certs, ca } = certificates('names', { EDGE_HOST: 'auth.example.com' })
    const [leaf, extensions] = [join(certs, 'bank.crt'), join(certs, 'bank.ext')]
    writeFileSync(extensions, 'subjectAltName=DNS:bank.example\n')
    const subject = ['-subj', '/CN=bank.example', '-nodes', '-keyout', join(certs, 'bank.key')]
    openssl('req', '-newkey', 'rsa:2048', ...subject, '-out', join(certs, 'bank.csr'))
    const signer = ['-CA', join(ca, 'ca.crt'), '-CAkey', join(ca, 'ca.key'), '-set_serial', '7']
    const request = ['-req', '-in', join(certs, 'bank.csr'), '-extfile', extensions]
    openssl('x509', ...request, ...signer, '-out', leaf)
    expect(openssl('verify', '-CAfile', join(ca, 'ca.crt'), leaf)).toContain('permitted subtree')
  })

  test('makes a pair for a name that is too long for a subject, as those of load balancers are', () => {
    const name = `${'a'.repeat(60)}.elb.example.com`
    const { certs, ca } = certificates('long', { EDGE_HOST: name })
    const leaf = join(certs, 'live', 'tls.crt')
    expect(openssl('x509', '-in', leaf, '-noout', '-checkhost', name)).toContain('does match')
    expect(openssl('verify', '-CAfile', join(ca, 'ca.crt'), leaf)).toContain('OK')
  })

  test('makes a new pair for a new name', () => {
    const { certs } = certificates('moved')
    certificates('moved', { EDGE_HOST: 'auth.example.com' })
    const leaf = join(certs, 'live', 'tls.crt')
    expect(openssl('x509', '-in', leaf, '-noout', '-checkhost', 'auth.example.com')).toContain(
      'does match',
    )
    expect(readdirSync(certs).filter((name) => name.startsWith('v-')).length).toBe(2)
  })

  test.each([
    ['of another CA', (other: string) => readFileSync(other)],
    ['cut short', (other: string) => readFileSync(other, 'utf8').slice(0, 100)],
  ] as const)('makes a new CA where its key is %s, as after a crash', (name, left) => {
    const at = certificates(name)
    const other = certificates(`${name}, the other`)
    writeFileSync(join(at.ca, 'ca.key'), left(join(other.ca, 'ca.key')))
    // What made it anew, and what every later run asks for: a name that the certificate lacks.
    certificates(name, { EDGE_HOST: 'auth.example.com' })
    const leaf = join(at.certs, 'live', 'tls.crt')
    expect(openssl('verify', '-CAfile', join(at.ca, 'ca.crt'), leaf)).toContain('OK')
    expect(readFileSync(join(at.certs, 'live', 'ca.crt'))).toEqual(
      readFileSync(join(at.ca, 'ca.crt')),
    )
  })

  test.each([
    ['by its folder', 'v-2026-12'],
    ['where it was copied over one of ours', undefined],
  ])("leaves a certificate of one's own alone, known %s", (name, folderName) => {
    const at = certificates(name)
    const live = join(at.certs, 'live')
    const own = folderName ? join(at.certs, folderName) : realpathSync(live)
    const subject = ['-subj', '/CN=auth.example.com', '-keyout', join(own, 'tls.key')]
    mkdirSync(own, { recursive: true })
    const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', ...subject]
    openssl('req', ...made, '-out', join(own, 'tls.crt'))
    if (folderName) rmSync(live)
    if (folderName) symlinkSync(folderName, live)
    const serial = serialIn(at.certs)
    // What `docker compose up` does each time, and what somebody does who wants it renewed.
    for (const more of [{}, { FORCE: '1' }, { EDGE_HOST: 'auth.example.com' }])
      expect(said(at, more)).toStartWith('the certificate is not ours, left alone: notAfter=')
    expect(serialIn(at.certs)).toBe(serial)
    expect(realpathSync(live)).toBe(realpathSync(own))
  })

  test("takes one of one's own with its key, and nothing that is no pair", () => {
    const [at, other] = [certificates('taken'), certificates('taken, the other')]
    const pem = (from: string, name: string) => readFileSync(join(from, 'live', `tls.${name}`))
    const given = (...files: Buffer[]) => take(at, Buffer.concat(files))
    const before = serialIn(at.certs)
    // The leaf does not come first, a key of something else, no key.
    for (const files of [
      [readFileSync(join(other.ca, 'ca.crt')), pem(other.certs, 'crt'), pem(other.certs, 'key')],
      [pem(other.certs, 'crt'), pem(at.certs, 'key')],
      [pem(other.certs, 'crt')],
    ])
      expect(given(...files)).toEqual({ exitCode: 1, left: 1 })
    expect(serialIn(at.certs)).toBe(before)
    const chain = readFileSync(join(other.ca, 'ca.crt'))
    const whole = given(pem(other.certs, 'crt'), chain, pem(other.certs, 'key'))
    expect(whole).toEqual({ exitCode: 0, left: 2 })
    expect(pem(at.certs, 'crt')).toEqual(Buffer.concat([pem(other.certs, 'crt'), chain]))
    expect(pem(at.certs, 'key')).toEqual(pem(other.certs, 'key'))
    expect(statSync(join(at.certs, 'live', 'tls.key')).mode & 0o777).toBe(0o600)
    expect(existsSync(join(at.ca, '.work'))).toBe(false)
    // Even under a CA with the same name as ours.
    expect(said(at, { FORCE: '1' })).toStartWith('the certificate is not ours')
  })

  test('deletes no folder but its own', () => {
    const at = certificates('tidy')
    for (const other of ['v-2026-12', 'v-20261201T000000Z-old', 'auth.example.com'])
      mkdirSync(join(at.certs, other))
    for (let round = 0; round < 3; round += 1) certificates('tidy', { FORCE: '1' })
    const left = readdirSync(at.certs).filter((name) => name !== 'live')
    expect(left).toContainValues(['v-2026-12', 'v-20261201T000000Z-old', 'auth.example.com'])
    expect(left).toHaveLength(3 + 2)
  })

  test("makes a certificate again once the link to one's own is gone", () => {
    const at = certificates('back')
    mkdirSync(join(at.certs, 'own'))
    rmSync(join(at.certs, 'live'))
    symlinkSync('own', join(at.certs, 'live'))
    // Nothing is in it: the edge would have none at all.
    expect(said(at)).toStartWith('made a certificate')
    expect(existsSync(join(at.certs, 'own'))).toBe(true)
  })

  test('started five times at once leaves one whole pair', async () => {
    const at = paths('race')
    const runs = Array.from({ length: 5 }, () =>
      Bun.spawn(['sh', join(ROOT, 'envoy', 'certs.sh')], {
        env: environment(at),
        stdout: 'ignore',
        stderr: 'inherit',
      }),
    )
    expect(await Promise.all(runs.map((run) => run.exited))).toEqual([0, 0, 0, 0, 0])
    const leaf = join(at.certs, 'live', 'tls.crt')
    expect(openssl('verify', '-CAfile', join(at.ca, 'ca.crt'), leaf)).toContain('OK')
    const publicOf = (kind: string, file: string) =>
      kind === 'x509'
        ? openssl('x509', '-in', join(at.certs, 'live', file), '-noout', '-pubkey')
        : openssl('pkey', '-in', join(at.certs, 'live', file), '-pubout')
    expect(publicOf('x509', 'tls.crt')).toBe(publicOf('pkey', 'tls.key'))
    expect(existsSync(join(at.ca, '.work'))).toBe(false)
  })
})

describe('the documents', () => {
  const edge = readFileSync(join(ROOT, 'docs', 'edge.md'), 'utf8')

  test("tell the probe about a certificate of one's own in words that sed understands", () => {
    const [, script = '', file = ''] = /^sed -i (.+) (monitoring\/\S+)$/m.exec(edge) ?? []
    const { stdout } = Bun.spawnSync(['sh', '-c', `sed ${script} ${join(ROOT, file)}`])
    const told = Bun.YAML.parse(stdout.toString()) as { modules: { https_edge: { http: object } } }
    expect(told.modules.https_edge.http).toMatchObject({
      headers: { Host: 'auth.example.com' },
      tls_config: { server_name: 'auth.example.com' },
    })
    expect(stdout.toString()).not.toContain('ca_file')
  })

  test('have nobody start what ends by itself and go on before it has', () => {
    const folders = ['.', 'docs', 'envoy', 'monitoring', 'monitoring/grafana/boards']
    const files = folders.flatMap((name) =>
      readdirSync(join(ROOT, name))
        .filter((file) => /\.(md|yml|ts)$/.test(file))
        .map((file) => join(name, file)),
    )
    const told = files.flatMap((file) => [
      ...readFileSync(join(ROOT, file), 'utf8').matchAll(
        /docker compose (?:start|up)\b[^`&|#\n]* (?:certificates|edge-config|secrets)\b/g,
      ),
    ])
    expect(told.map(([command]) => command)).toEqual([])
    expect(edge).toContain('`docker compose run --rm certificates`')
  })
})

function paths(name: string): { certs: string; ca: string } {
  return { certs: join(folder, name, 'certs'), ca: join(folder, name, 'ca') }
}

function environment(at: { certs: string; ca: string }, more = {}) {
  return { PATH: process.env['PATH'], CERTS: at.certs, CA: at.ca, ...more }
}

/** Runs certs.sh with folders of this name, and says where they are. */
function certificates(name: string, more: Record<string, string> = {}) {
  const at = paths(name)
  said(at, more)
  return at
}

/** Gives it what is to be served. Says how that ended, and how many folders there are. */
function take(at: { certs: string; ca: string }, pem: Buffer) {
  const { exitCode } = Bun.spawnSync(['sh', join(ROOT, 'envoy', 'certs.sh'), 'own'], {
    env: environment(at),
    stdin: pem,
  })
  return { exitCode, left: readdirSync(at.certs).filter((name) => name !== 'live').length }
}

/** What certs.sh prints. Throws where it fails. */
function said(at: { certs: string; ca: string }, more: Record<string, string> = {}): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', join(ROOT, 'envoy', 'certs.sh')], {
    env: environment(at, more),
  })
  if (exitCode !== 0) throw new Error(stderr.toString())
  return stdout.toString()
}

function serialIn(certs: string): string {
  return openssl('x509', '-in', join(certs, 'live', 'tls.crt'), '-noout', '-serial')
}

function openssl(...options: string[]): string {
  const { stdout, stderr } = Bun.spawnSync([tools.openssl, ...options])
  return `${stdout}${stderr}`
}
