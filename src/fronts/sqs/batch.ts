/** What all batches have in common: their entries, and an answer for each. */
import { SqsError } from './errors.ts'
import type { OperationName, StructureOf } from './structures.ts'

export interface Entry {
  Id: string
}
export interface Failed {
  id: string
  error: SqsError
}

const entriesMax = 10

/** Refuses what makes the whole batch wrong. */
export function checkEntries<E extends Entry>(entries: E[], operation: OperationName): E[] {
  if (entries.length === 0) {
    throw new SqsError(
      'EmptyBatchRequest',
      `There should be at least one ${operation}RequestEntry in the request.`
    )
  }
  if (entries.length > entriesMax) {
    throw new SqsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${entriesMax}. You have sent ${entries.length}.`
    )
  }
  if (!entries.every(({ Id }) => /^[A-Za-z0-9_-]{1,80}$/.test(Id))) {
    throw new SqsError(
      'InvalidBatchEntryId',
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores. ' +
        'It can be at most 80 letters long.'
    )
  }
  const twice = entries.find(({ Id }, index) => entries.findIndex(other => other.Id === Id) < index)
  if (twice !== undefined) {
    throw new SqsError('BatchEntryIdsNotDistinct', `Id ${twice.Id} repeated.`)
  }
  return entries
}

/** Both lists are always there. */
export function batchResult<E extends Entry>(
  successful: E[],
  failed: Failed[]
): { Successful: E[]; Failed: StructureOf<'BatchResultErrorEntry'>[] } {
  return {
    Successful: successful,
    Failed: failed.map(({ id, error }) => ({
      Id: id,
      SenderFault: error.isSenders,
      Code: error.legacyCode,
      Message: error.message
    }))
  }
}
