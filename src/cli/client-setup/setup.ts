import type { Naming } from '../../mirror/naming.ts';
import type { NamedUpstream } from '../../mirroring/upstreams.ts';

/** This server, as its clients see it. */
export interface Site {
  /** Without a slash at its end. */
  readonly url: URL;
  readonly upstreams: readonly NamedUpstream[];
  /** Path, on the client, of the authority (PEM) that has signed the server's certificate; undefined: one that everybody knows. */
  readonly ca: string | undefined;
  /** Whether not everybody may pull. */
  readonly asksForLogin: boolean;
}

/** What makes a client ask this server. */
export interface Setup {
  readonly files: readonly ConfigurationFile[];
  /** How the client comes to read them, and what else one should know. Paragraphs. */
  readonly notes: readonly string[];
  /** Whether the files take remarks, which begin with #. */
  readonly remarks: boolean;
}

export interface ConfigurationFile {
  /** Where it belongs on the client. */
  readonly path: string;
  readonly content: string;
}

/** As it stands before the name of an image. What has neither a dot nor a port would be taken for a part of the name. */
export function hostOf({ url }: Site): string {
  if (/[.:]/.test(url.host) || url.hostname === 'localhost') return url.host;
  return `${url.host}:${url.protocol === 'https:' ? 443 : 80}`;
}

export function isPlain({ url }: Site): boolean {
  return url.protocol === 'http:';
}

/** The server and the path below which it serves. */
export function addressOf({ url }: Site): string {
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** `mirror:5000/quay.io`: before the names of the repositories of an upstream. */
export function locationOf(site: Site, { prefix }: Naming): string {
  return prefix === '' ? hostOf(site) : `${hostOf(site)}/${prefix}`;
}
