/** Passes on what the processes of a replica say to one another. It runs in the first process. */
import type { FromFirst, FromServer } from './messages.ts'

/** An answer later than this is left out. */
const answerMsMax = 2000

/** A process that serves, as the relay knows it. */
export interface Member {
  id: string
  send(message: FromFirst): void
}

interface Question {
  missing: Set<Member>
  answers: unknown[]
  end: () => void
}

export class Relay {
  readonly #members = new Set<Member>()
  readonly #questions = new Map<number, Question>()
  #asked = 0

  /** From now on the process hears the others. */
  join(member: Member): void {
    for (const other of this.#members) other.send({ is: 'joined' })
    this.#members.add(member)
  }

  /** The process has ended. What it told before it joined is forgotten too. */
  leave(member: Member): void {
    this.#members.delete(member)
    for (const other of this.#members) other.send({ is: 'gone', process: member.id })
    for (const question of this.#questions.values()) {
      question.missing.delete(member)
      if (question.missing.size === 0) question.end()
    }
  }

  /** Takes what a process says to the others. */
  receive(member: Member, message: FromServer): void {
    if (message.is === 'telling') {
      const told: FromFirst = { is: 'told', from: member.id, tellings: message.tellings }
      for (const other of this.#others(member)) other.send(told)
    }
    if (message.is === 'asking') this.#ask(member, message)
    if (message.is === 'answering') this.#answer(member, message)
  }

  #ask(asker: Member, { number, kind, about }: Extract<FromServer, { is: 'asking' }>): void {
    const mine = ++this.#asked
    const missing = new Set(this.#others(asker))
    const answers: unknown[] = []
    const end = () => {
      clearTimeout(timer)
      this.#questions.delete(mine)
      asker.send({ is: 'answered', number, answers })
    }
    const timer = setTimeout(end, answerMsMax)
    this.#questions.set(mine, { missing, answers, end })
    if (missing.size === 0) return end()
    for (const other of missing) other.send({ is: 'asked', number: mine, kind, about })
  }

  #answer(member: Member, { number, answer }: Extract<FromServer, { is: 'answering' }>): void {
    const question = this.#questions.get(number)
    if (question?.missing.delete(member) !== true) return
    if (answer !== undefined) question.answers.push(answer)
    if (question.missing.size === 0) question.end()
  }

  #others(member: Member): Member[] {
    return [...this.#members].filter(other => other !== member)
  }
}
