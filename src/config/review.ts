import type { Finding } from './finding.ts';
import type { ConfigValues } from './schema.ts';

/**
 * What is wrong with keys that are valid each by itself, in so far as it shows in what was given: the defaults cover it
 * up afterwards, and a schema says nothing of it as long as one of the keys has another fault.
 *
 * @param origins dotted path of every key that is given → its source
 */
export function reviewKeys(origins: ReadonlyMap<string, string>): Finding[] {
  const faults: Finding[] = [];
  const need = (key: string, needed: string, reason: string) => {
    const source = origins.get(key);
    if (source === undefined || origins.has(needed)) return;
    faults.push({ source, key, message: `needs ${needed}: ${reason}` });
  };
  need('http.tls.certificate', 'http.tls.key', 'a certificate is of no use without its key');
  need('http.tls.key', 'http.tls.certificate', 'a key is of no use without its certificate');
  // Distribution ignores these two. They are the wish to keep clients out, and everybody would get in.
  need('http.tls.clientcas', 'http.tls.certificate', 'without TLS no client is asked for a certificate');
  need('http.tls.clientauth', 'http.tls.clientcas', 'without them no client is asked for a certificate');
  need('auth.builtin.certificates', 'http.tls.clientcas', 'without them no client has a certificate that is believed');
  const proxy = origins.get('proxy.remoteurl');
  if (proxy !== undefined && origins.has('mirror.upstreams')) {
    const message =
      'excludes mirror.upstreams: as a proxy, berth takes every name for one of that registry. Take one of them out; an upstream with default: true answers to names without a prefix, too';
    faults.push({ source: proxy, key: 'proxy.remoteurl', message });
  }
  return faults;
}

/** What a valid configuration says without effect. */
export function reviewConfig(config: ConfigValues, origins: ReadonlyMap<string, string>): Finding[] {
  const warnings: Finding[] = [];
  const warn = (key: string, message: string) => {
    const source = origins.get(key);
    if (source !== undefined) warnings.push({ source, key, message });
  };
  const { tls, debug } = config.http;
  if (tls.minimumtls === 'tls1.3') {
    warn('http.tls.ciphersuites', 'has no effect with http.tls.minimumtls tls1.3, whose suites are fixed');
  }
  if (debug.prometheus.enabled && debug.addr === undefined) {
    warn('http.debug.prometheus.enabled', 'has no effect without http.debug.addr: there is no server that has metrics');
  }
  return warnings;
}
