/** How the embedded server is reached. */

export const user = 'holdfast'
export const port = 5432 // only names the socket's file; no TCP port is opened

export interface Address {
  host: string
  port: number
  user: string
  database: string
  ssl: false
}

/** For pg's Client and Pool. `host` is the folder of the socket. */
export const addressOf = (host: string): Address => ({ host, port, user, database: 'holdfast', ssl: false })

/** The same as one string, for another process. */
export const urlOf = (host: string): string =>
  `postgresql://${user}@/holdfast?host=${encodeURIComponent(host)}&port=${port}`
