import { hostOf, isPlain, type Setup, type Site } from './setup.ts';

export function buildkitSetup(site: Site): Setup {
  const host = hostOf(site);
  const sections = [
    // It says itself which registry it means, so no prefix.
    ...site.upstreams.map(({ name }) => `[registry."${name}"]\n  mirrors = ["${host}"]\n`),
    // Said in both cases: what is on this machine it asks without TLS otherwise.
    `[registry."${host}"]\n  http = ${isPlain(site)}\n${site.ca === undefined ? '' : `  ca = ["${site.ca}"]\n`}`,
  ];
  return {
    files: [{ path: '/etc/buildkit/buildkitd.toml', content: sections.join('\n') }],
    notes: [
      'Read when buildkitd starts. With buildx: docker buildx create --use --driver docker-container --buildkitd-config /etc/buildkit/buildkitd.toml',
      "The builder inside of the Docker daemon reads the daemon's own configuration (berth mirror setup docker).",
      ...(site.asksForLogin ? [`Log in to the mirror itself: docker login ${host}`] : []),
    ],
    remarks: true,
  };
}
