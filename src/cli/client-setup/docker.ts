import { dockerHub } from '../../mirror/naming.ts';
import { CommandError } from '../command-error.ts';
import { addressOf, hostOf, isPlain, locationOf, type Setup, type Site } from './setup.ts';

/** @throws CommandError when Docker Hub is not the default upstream */
export function dockerSetup(site: Site): Setup {
  const hub = site.upstreams.find(({ name }) => name === dockerHub);
  if (hub?.isDefault !== true) {
    throw new CommandError(
      "Docker's registry-mirrors are for Docker Hub alone, and it asks without saying so: mirror.upstreams needs docker.io, with default: true",
    );
  }
  const others = site.upstreams.filter((upstream) => upstream !== hub);
  const daemon = {
    'registry-mirrors': [addressOf(site)],
    ...(isPlain(site) && { 'insecure-registries': [hostOf(site)] }),
  };
  return {
    files: [{ path: '/etc/docker/daemon.json', content: `${JSON.stringify(daemon, null, 2)}\n` }],
    notes: [
      'Where there is a daemon.json already, add these keys to it. Then: systemctl reload docker. `docker info` shows the mirror below Registry Mirrors.',
      ...(site.ca === undefined ? [] : [`Copy ${site.ca} to /etc/docker/certs.d/${site.url.host}/ca.crt.`]),
      ...(site.url.pathname === '/' ? [] : ['Older versions of Docker refuse a mirror with a path.']),
      ...(others.length === 0
        ? []
        : [
            `Of Docker Hub's images only; those of others by their names here: ${others.map((upstream) => `docker pull ${locationOf(site, upstream)}/…`).join(', ')}.`,
          ]),
      ...(site.asksForLogin
        ? [
            'Docker sends a mirror no login but that of Docker Hub: without one everybody must be allowed to pull what this server mirrors, by its names with and without docker.io/.',
          ]
        : []),
    ],
    remarks: false,
  };
}
