/** What is needed of a request to say under which address the client reached us. */
export interface Reached {
  header(name: string): string | undefined;
  /** Whether the connection to us is TLS. */
  readonly encrypted: boolean;
}

const hostGrammar = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?$/;

function isHost(text: string): boolean {
  const match = hostGrammar.exec(text);
  return match !== null && Number(match[1] ?? 1) <= 65_535;
}

/**
 * Scheme and host under which the client reached us, e.g. `https://registry.example:5000`: the configured one, else
 * what the nearest proxies say (`Forwarded` of RFC 7239, then `X-Forwarded-Proto` and `X-Forwarded-Host`, the first
 * element of each), else our own. What is no host is not believed.
 *
 * @param configured `http.host`
 */
export function originOf(request: Reached, configured: string | undefined): string {
  if (configured !== undefined) return configured;
  const forwarded = parseForwarded(request.header('forwarded'));
  const proto = forwarded.get('proto') ?? first(request.header('x-forwarded-proto'));
  const host = forwarded.get('host') ?? first(request.header('x-forwarded-host'));
  const scheme = proto === 'https' || proto === 'http' ? proto : request.encrypted ? 'https' : 'http';
  const own = request.header('host') ?? 'localhost';
  const believed = [host, own].find((candidate) => candidate !== undefined && isHost(candidate));
  return `${scheme}://${believed ?? 'localhost'}`;
}

function first(header: string | undefined): string | undefined {
  return header?.split(',', 1)[0]?.trim().toLowerCase();
}

/** The parameters of the first element of a `Forwarded` header, names in lower case. */
function parseForwarded(header: string | undefined): Map<string, string> {
  const element = header?.split(',', 1)[0] ?? '';
  const parameters = new Map<string, string>();
  for (const pair of element.split(';')) {
    const [, name, quoted, plain] = /^\s*([A-Za-z]+)=(?:"([^"]*)"|([^"\s]*))\s*$/.exec(pair) ?? [];
    if (name !== undefined) parameters.set(name.toLowerCase(), (quoted ?? plain ?? '').toLowerCase());
  }
  return parameters;
}
