import { type AddressGuard, isAddress } from './address.ts';

/**
 * Domains under which everybody can have a name, so that two names there are two owners. The registries among them have
 * their realms on the very same host.
 */
const sharedDomains = new Set([
  'aliyuncs.com',
  'amazonaws.com',
  'appspot.com',
  'azurecr.io',
  'azurewebsites.net',
  'cloudapp.net',
  'cloudfront.net',
  'ddns.net',
  'duckdns.org',
  'firebaseapp.com',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'googleapis.com',
  'herokuapp.com',
  'jfrog.io',
  'myqcloud.com',
  'netlify.app',
  'ngrok.app',
  'ngrok.io',
  'nip.io',
  'ondigitalocean.app',
  'onrender.com',
  'pages.dev',
  'pkg.dev',
  'run.app',
  'scw.cloud',
  'sslip.io',
  'vercel.app',
  'web.app',
  'windows.net',
  'workers.dev',
]);

/** Second levels of countries that are longer than the usual two or three letters. */
const categories = new Set(['asso', 'gouv', 'govt', 'firm', 'info', 'name', 'police', 'press', 'school', 'store']);

/**
 * The domain whose owner a host is taken to belong to: its last two labels (`auth.docker.io`: `docker.io`), or three under a
 * country whose second label looks like a category (`co.uk`, `com.au`, `gouv.fr`).
 *
 * There is no list of public suffixes here, so the rule errs on the side of strangers: what looks like a suffix is one,
 * though `k8s.io` is none. Whom it denies his own token server can name it in the allow-list.
 *
 * @returns undefined when it has no such domain: an address, a name without a dot, a domain that is shared
 */
export function siteOf(host: string): string | undefined {
  if (isAddress(host)) return undefined;
  const labels = host.toLowerCase().replace(/\.$/, '').split('.');
  const [second = '', top = ''] = labels.slice(-2);
  const isSuffix = top.length === 2 && (second.length <= 3 || categories.has(second));
  const length = isSuffix ? 3 : 2;
  if (labels.length < length) return undefined;
  const site = labels.slice(-length).join('.');
  return sharedDomains.has(site) ? undefined : site;
}

/** Whether two hosts are taken to have the same owner. */
export function isSameSite(one: string, other: string): boolean {
  if (one.toLowerCase() === other.toLowerCase()) return true;
  const site = siteOf(one);
  return site !== undefined && site === siteOf(other);
}

export interface RealmRule {
  readonly endpoint: URL;
  /** `auth.example.com`, `auth.example.com:5001`, `*.example.com`. */
  readonly allowed: readonly string[];
  readonly guard: AddressGuard;
}

/**
 * Why a token server may not be asked, as an upstream that is not what it should be could otherwise send us, and the
 * credentials, anywhere (CVE-2026-33540).
 *
 * @param withCredentials whether user and password would be sent
 * @returns undefined when it may
 */
export function realmFault(
  realm: URL,
  { endpoint, allowed, guard }: RealmRule,
  withCredentials: boolean,
): string | undefined {
  if (realm.protocol !== 'https:' && realm.protocol !== 'http:') return 'its realm is no URL of the web';
  if (realm.username !== '' || realm.password !== '') return 'its realm has credentials in it';
  const isOwn = realm.hostname === endpoint.hostname;
  const isAllowed =
    isOwn || isSameSite(realm.hostname, endpoint.hostname) || allowed.some((entry) => isEntry(entry, realm));
  if (!isAllowed) return `its realm is on a foreign host, ${realm.host}`;
  if (!isOwn && !guard.allowsHost(realm.hostname)) return `its realm is on an internal address, ${realm.host}`;
  if (realm.protocol === 'http:' && endpoint.protocol === 'https:') return `its realm at ${realm.host} has no TLS`;
  if (realm.protocol === 'http:' && withCredentials && !isOwn) {
    return `its realm on another host, ${realm.host}, has no TLS, so no credentials are sent there`;
  }
  return undefined;
}

function isEntry(entry: string, { host, hostname }: URL): boolean {
  const name = entry.toLowerCase();
  if (name.startsWith('*.')) return hostname.endsWith(name.slice(1));
  return name === hostname || name === host;
}
