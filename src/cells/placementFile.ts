/** The placement file: read, written whole, and read again when it has changed. */
import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { Placement } from '../core/placement.ts'

/** Throws an Error with a sentence for a person. */
export async function readPlacement(file: string): Promise<Placement> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw new Error(`The placement file ${file} cannot be read (${error.code}). docs/scaling.md shows one.`)
  })
  try {
    return Placement.read(text)
  } catch (error) {
    throw new Error(`The placement file ${file} cannot be used. ${(error as Error).message}`)
  }
}

/** Writes a file whole: a reader finds the old one or the new one, never a part. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.new`
  await writeFile(draft, text, { mode: (await modeOf(file)) ?? 0o600 })
  await rename(draft, file)
}

const modeOf = async (file: string) => (await stat(file).catch(() => null))?.mode

/** Writes the file whole. */
export const writePlacement = (file: string, placement: Placement): Promise<void> =>
  replaceFile(file, `${JSON.stringify(placement.file, null, 2)}\n`)

/** The placement as the file says it now. A file that cannot be read changes nothing. */
export class WatchedPlacement {
  readonly #file: string
  readonly #onError: (error: unknown) => void
  #current: Placement
  #mtimeMs = 0

  private constructor(file: string, current: Placement, onError: (error: unknown) => void) {
    this.#file = file
    this.#current = current
    this.#onError = onError
  }

  /** Throws where the file cannot be read at the start. `onError` hears of it later. */
  static async open(file: string, onError: (error: unknown) => void): Promise<WatchedPlacement> {
    return new WatchedPlacement(file, await readPlacement(file), onError)
  }

  get current(): Placement {
    return this.#current
  }

  /** Reads the file again if it was changed. */
  async refresh(): Promise<void> {
    try {
      const { mtimeMs } = await stat(this.#file)
      if (mtimeMs === this.#mtimeMs) return
      this.#current = await readPlacement(this.#file)
      this.#mtimeMs = mtimeMs
    } catch (error) {
      this.#onError(error)
    }
  }
}
