import type { Slots, UpstreamSlots } from './slots.ts';
import { untilAborted } from './until-aborted.ts';

/**
 * How long an upstream is believed what it has said, in milliseconds: what it has, that it has not something, that it does not
 * let us in.
 */
export const answerTime = 30_000;

/** For how many questions it is remembered that the answer was no, of each kind. */
export const maxRefused = 2_000;

/** What upstreams are being asked, by key: who asks what somebody asks already hears the same. */
export class Questions<T> {
  readonly #slots: UpstreamSlots;
  readonly #now: () => number;
  readonly #open = new Map<string, Question<T>>();

  /** @param slots how many questions an upstream is asked at once; who has one more waits */
  constructor(slots: UpstreamSlots, now = Date.now) {
    this.#slots = slots;
    this.#now = now;
  }

  /** @param ask begins when there is a slot; its signal says that nobody waits any more */
  of(upstream: string, key: string, ask: (signal: AbortSignal) => Promise<T>): Question<T> {
    const open = this.#open.get(key);
    if (open !== undefined) return open;
    const end = () => {
      if (this.#open.get(key) === question) this.#open.delete(key);
    };
    const question = new Question(this.#slots.of(upstream), ask, this.#now(), end);
    this.#open.set(key, question);
    return question;
  }
}

/** One question, for all who wait for its answer. When nobody does any more it is given up. */
export class Question<T> {
  /** In milliseconds since 1970. */
  readonly since: number;
  readonly #aborter = new AbortController();
  readonly #answer: Promise<T>;
  readonly #end: () => void;
  #state: 'waiting' | 'asked' | 'answered' = 'waiting';
  #listeners = 0;
  #goesOn = false;

  /** @param end is called as soon as there is nothing to be heard of it any more, perhaps several times */
  constructor(slots: Slots, ask: (signal: AbortSignal) => Promise<T>, since: number, end: () => void) {
    this.since = since;
    this.#end = end;
    this.#answer = this.#ask(slots, ask);
    // Whoever asked may have left.
    this.#answer.catch(() => undefined);
  }

  /** @throws what `ask` throws; the reason of the signal */
  answer(signal?: AbortSignal): Promise<T> {
    return this.heardBy((answer) => untilAborted(answer, signal));
  }

  /** Counts as somebody who waits for the answer until `listen` is done. */
  async heardBy<R>(listen: (answer: Promise<T>) => Promise<R>): Promise<R> {
    this.#listeners += 1;
    try {
      return await listen(this.#answer);
    } finally {
      this.#listeners -= 1;
      this.#giveUpUnlessHeard();
    }
  }

  /** Though nobody waits, it goes on for whoever comes next, if the upstream has been asked already. */
  goOn(): void {
    this.#goesOn = true;
  }

  async #ask(slots: Slots, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#aborter;
    try {
      return await slots.run(() => {
        this.#state = 'asked';
        return ask(signal);
      }, signal);
    } finally {
      this.#state = 'answered';
      this.#end();
    }
  }

  #giveUpUnlessHeard(): void {
    if (this.#listeners > 0 || this.#state === 'answered') return;
    if (this.#goesOn && this.#state === 'asked') return;
    // At once, so that whoever comes next does not hear that it was given up.
    this.#end();
    this.#aborter.abort(new Error('nobody waits for it any more'));
  }
}
