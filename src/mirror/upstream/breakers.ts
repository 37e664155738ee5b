import { LRUCache } from 'lru-cache';
import { type BreakerOptions, type BreakerState, CircuitBreaker, type Pass, type Refusal } from './breaker.ts';

/** The permission for one request; exactly one of its methods is called, when the outcome is known. */
export interface RepositoryPass extends Pick<Pass, 'failed' | 'throttled' | 'left'> {
  /** It gave what was asked for. */
  gave(): void;
  /** It answered something else that it can stand by: that there is no such thing, or that we may not have it. */
  answered(): void;
  /** It answered that it cannot answer (5xx). */
  erred(): void;
}

/** Repositories that are remembered. */
const max = 1_000;

/**
 * The circuit breakers of one endpoint: one for all of it, and one for each repository that it answers about with errors.
 *
 * A connection that fails speaks of the endpoint. An error speaks of the repository, as anybody can ask for a name that makes
 * a registry fail; and of the endpoint only when it comes for several repositories, one after the other, that it has given
 * something of before.
 */
export class EndpointBreakers {
  readonly #whole: CircuitBreaker;
  readonly #ownOptions: BreakerOptions;
  readonly #own = new LRUCache<string, CircuitBreaker>({ max });
  /** Those that it has given something of. */
  readonly #good = new LRUCache<string, true>({ max });
  /** Those of the good ones that it has answered about with errors since it last answered otherwise. */
  readonly #erring = new LRUCache<string, true>({ max });

  /** @param options of each; told of the changes of the endpoint's own */
  constructor(options: BreakerOptions) {
    const { onChange: _, ...quiet } = options;
    this.#whole = new CircuitBreaker(options);
    this.#ownOptions = quiet;
  }

  /** Of the endpoint. */
  get state(): BreakerState {
    return this.#whole.state;
  }

  /** @returns the permission for one request about a repository, or why and until when there is none */
  enter(repository: string): RepositoryPass | Refusal {
    const own = this.#own.get(repository)?.enter();
    if (own !== undefined && 'kind' in own) return own;
    const whole = this.#whole.enter();
    if ('kind' in whole) {
      own?.left();
      return whole;
    }
    const answered = () => {
      this.#own.delete(repository);
      this.#erring.clear();
      whole.succeeded();
    };
    return {
      answered,
      gave: () => {
        this.#good.set(repository, true);
        answered();
      },
      erred: () => {
        const pass = own ?? this.#ownOf(repository).enter();
        if (!('kind' in pass)) pass.failed();
        const isNew = this.#good.has(repository) && !this.#erring.has(repository);
        if (!isNew) return whole.left();
        this.#erring.set(repository, true);
        whole.failed();
      },
      failed: () => {
        own?.left();
        whole.failed();
      },
      throttled: (retryAt) => {
        own?.left();
        this.#erring.clear();
        return whole.throttled(retryAt);
      },
      left: () => {
        own?.left();
        whole.left();
      },
    };
  }

  #ownOf(repository: string): CircuitBreaker {
    const known = this.#own.get(repository);
    if (known !== undefined) return known;
    const breaker = new CircuitBreaker(this.#ownOptions);
    this.#own.set(repository, breaker);
    return breaker;
  }
}
