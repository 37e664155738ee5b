export const storageKinds = ['filesystem', 's3'] as const;

export type StorageKind = (typeof storageKinds)[number];

/** Where the registries of a run keep their content. */
export interface Storage {
  readonly kind: StorageKind;
  /** For the reader, e.g. an address. */
  readonly description: string;
  /** Processes that belong to the storage: what they take is not the work of strangers. */
  readonly processes: readonly number[];
  /** Whether there is little room: what one measurement has pushed is then removed before the next one. */
  readonly scarce: boolean;
  /** An empty place of its own for the registry of this name. */
  place(name: string): Place;
  /** Has the space of removed content given free now, so that it is not done while something else is measured. */
  settle(signal: AbortSignal): Promise<void>;
  /** Where requests to the storage can be counted; absent where there are no requests. */
  readonly counter?: RequestCounter;
  /** Removes everything. */
  close(): Promise<void>;
}

/** Where one registry keeps its content. */
export interface Place {
  /** The driver's part of the section `storage` of a configuration file. */
  driver(access: Access): Record<string, object>;
  /** Puts objects in without the registry, quickly; absent where that is not possible. */
  put?(objects: readonly StoredObject[], signal: AbortSignal): Promise<void>;
  /** Removes all content. */
  clear(): Promise<void>;
}

/** How a registry gets to the storage: straight, or past the counter. */
export type Access = 'straight' | 'counted';

export interface StoredObject {
  /** Below the registry's root directory, in the layout of CNCF distribution; begins with a slash. */
  path: string;
  content: string;
}

/** Counts requests on their way to the storage. */
export interface RequestCounter {
  /** Starts anew. */
  reset(): void;
  /** Waits until no request has been under way for a moment, and gives the number of each kind since the last reset. */
  read(signal: AbortSignal): Promise<RequestCounts>;
}

/** Number of requests by kind, e.g. `GET`, `LIST`, `COPY`. */
export type RequestCounts = Record<string, number>;
