/**
 * What the load process can be asked to do. A job is prepared first (content, digests) and then run, so that the
 * client's own work is out of the way when the clock starts.
 */
export type Job = HeadJob | PullJob | ListsJob | PushJob | ImagesJob;

interface JobBase {
  /** On 127.0.0.1. */
  port: number;
  /** How many connections work side by side. */
  clients: number;
}

/** HEAD of the paths in turn, over and over. */
export interface HeadJob extends JobBase {
  kind: 'head';
  paths: readonly string[];
  seconds: number;
}

/** Large blobs over and over, thrown away as they come. */
export interface PullJob extends JobBase {
  kind: 'pull';
  path: string;
  /** Of the blob, in bytes. */
  size: number;
  seconds: number;
}

/** All paths in turn, by each client, as often as they can be begun in the time: for answers that may take seconds. */
export interface ListsJob extends JobBase {
  kind: 'lists';
  paths: readonly string[];
  /** The shortest body that can be right, in bytes. */
  smallest: number;
  seconds: number;
}

/** How the bytes of a blob are sent. */
export type Flow =
  /** POST, PATCH with a chunked body, PUT without one: Docker's own client, skopeo, crane. */
  | 'POST+PATCH+PUT'
  /** POST, PUT with the whole body: containerd, BuildKit, oras. */
  | 'POST+PUT';

/** Large blobs, each another one. */
export interface PushJob extends JobBase {
  kind: 'push';
  flow: Flow;
  repository: string;
  /** In bytes. */
  size: number;
  blobsPerClient: number;
  /** Makes the content: the same number gives the same bytes, and each blob takes one number. */
  firstNumber: number;
}

/** Small images (a configuration, two layers, a manifest with a tag), each another one; every client has a repository of its own. */
export interface ImagesJob extends JobBase {
  kind: 'images';
  seconds: number;
  /** So many in all, however long it takes, instead of as many as can be done in the time. */
  images?: number;
  firstNumber: number;
}

/** What was done. */
export interface Work {
  /** Requests, images or bytes that were finished while the clock ran. */
  amount: number;
  /** How long the clock ran. */
  seconds: number;
  /** Everything that was finished, with what was still on its way when the clock stopped: what the CPU time was spent on. */
  total: number;
  /** Paths that end in a digest, of which the content is to be looked at afterwards. */
  samples: readonly string[];
}

export type Run = () => Promise<Work>;

/** What goes to the load process: prepare this job, or run what was prepared. */
export type Order = { order: 'prepare'; job: Job } | { order: 'run' };

/** What comes back. */
export type Reply = { reply: 'prepared' } | { reply: 'done'; work: Work } | { reply: 'failed'; message: string };
