// Behind a proxy: what these programs ask is on this machine, where no proxy leads that the environment names.

/** Has this process, and those that it starts, ask this machine directly; others as before. */
export function askDirectly(): void {
  // The first is the one that counts where both are set.
  for (const name of ['no_proxy', 'NO_PROXY'])
    process.env[name] = [process.env[name], 'localhost', '127.0.0.1', '::1']
      .filter(Boolean)
      .join(',')
}
