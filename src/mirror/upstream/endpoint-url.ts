/** Where an endpoint is. */
export interface EndpointUrl {
  readonly url: URL;
  /** What stands before the names of repositories there: nothing, or something that ends in a slash. */
  readonly prefix: string;
  /** The path in which repositories are, with the prefix. Ends in a slash. */
  readonly repositories: string;
}

/**
 * Reads the URL of an endpoint. `/v2` comes behind its path, unless it is in it already, as in containerd's
 * `override_path`: at `https://accelerator/v2/quay.io` names get `quay.io/` before them.
 *
 * @throws TypeError when it is no URL of the web, or has more than a path
 */
export function parseEndpointUrl(text: string): EndpointUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (url === undefined || !isPlain || !/^https?:$/.test(url.protocol)) {
    throw new TypeError('an endpoint must be a URL with https:// or http://, without credentials, query and fragment');
  }
  const path = url.pathname.replace(/\/+$/, '');
  const [, own, , given = ''] = /^(.*?)(\/v2(?:\/(.+))?)?$/.exec(path) ?? [];
  const prefix = given === '' ? '' : `${given}/`;
  return { url, prefix, repositories: `${own}/v2/${prefix}` };
}
