import { ConfigError } from '../config/finding.ts';
import { type Proxies, proxiesIn } from '../mirror/upstream/proxies.ts';

/**
 * Through whom upstreams are reached, by the variables that all programs have for that.
 *
 * @throws ConfigError when one of them is no URL
 */
export function proxiesOf(environment: Readonly<Record<string, string | undefined>>): Proxies {
  const proxies = proxiesIn(environment);
  for (const [key, url] of Object.entries({ HTTP_PROXY: proxies.http, HTTPS_PROXY: proxies.https })) {
    if (url === undefined || (/^https?:\/\//i.test(url) && URL.canParse(url))) continue;
    // It may hold a password.
    throw new ConfigError([{ source: 'the environment', key, message: 'must be a URL such as http://proxy:3128' }]);
  }
  return proxies;
}
