import { hostOf, isPlain, locationOf, type Setup, type Site } from './setup.ts';

export function podmanSetup(site: Site): Setup {
  const registries = site.upstreams.map((upstream) =>
    [
      '[[registry]]',
      `location = "${upstream.name}"`,
      '[[registry.mirror]]',
      `location = "${locationOf(site, upstream)}"`,
      ...(isPlain(site) ? ['insecure = true'] : []),
      '',
    ].join('\n'),
  );
  return {
    files: [{ path: '/etc/containers/registries.conf.d/50-mirror.conf', content: registries.join('\n') }],
    notes: [
      'For podman, buildah, skopeo and CRI-O, which read it each time (CRI-O: systemctl reload crio). For one user: ~/.config/containers/registries.conf.d/50-mirror.conf.',
      ...(site.ca === undefined ? [] : [`Copy ${site.ca} to /etc/containers/certs.d/${hostOf(site)}/ca.crt.`]),
      ...(site.asksForLogin ? [`Log in to the mirror itself: podman login ${hostOf(site)}`] : []),
    ],
    remarks: true,
  };
}
