import { stringify } from 'yaml';
import { addressOf, hostOf, type Setup, type Site } from './setup.ts';

export function k3sSetup(site: Site): Setup {
  // Not all versions add this where there is a path already.
  const endpoint = [`${addressOf(site)}${site.url.pathname === '/' ? '' : '/v2'}`];
  const registries = {
    mirrors: Object.fromEntries(site.upstreams.map(({ name }) => [name, { endpoint }])),
    ...(site.ca !== undefined && { configs: { [hostOf(site)]: { tls: { ca_file: site.ca } } } }),
  };
  return {
    files: [
      {
        path: '/etc/rancher/k3s/registries.yaml',
        content: stringify(registries, { aliasDuplicateObjects: false, lineWidth: 0 }),
      },
    ],
    notes: [
      'On each node; then: systemctl restart k3s, on agents k3s-agent. RKE2 has the same in /etc/rancher/rke2/registries.yaml.',
      'k3s asks the registry itself when the mirror does not answer, unless it is started with --disable-default-registry-endpoint.',
      ...(site.asksForLogin
        ? [`This server asks for a login: configs, "${hostOf(site)}", auth, with username and password.`]
        : []),
    ],
    remarks: true,
  };
}
