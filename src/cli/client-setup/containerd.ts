import { addressOf, type Setup, type Site } from './setup.ts';

export function containerdSetup(site: Site): Setup {
  return {
    files: site.upstreams.map((upstream) => ({
      path: `/etc/containerd/certs.d/${upstream.name}/hosts.toml`,
      content: [
        '# Asked when the mirror does not answer, or has it not.',
        `server = "${upstream.origin}"`,
        '',
        `[host."${addressOf(site)}"]`,
        '  capabilities = ["pull", "resolve"]',
        ...(site.ca === undefined ? [] : [`  ca = "${site.ca}"`]),
        '',
      ].join('\n'),
    })),
    notes: [
      `For Kubernetes, /etc/containerd/config.toml must say where these files are; restart containerd once after that. containerd 2: [plugins."io.containerd.cri.v1.images".registry], containerd 1: [plugins."io.containerd.grpc.v1.cri".registry], and below it: config_path = "/etc/containerd/certs.d"`,
      'The files themselves are read at each pull. nerdctl finds them, and ctr with --hosts-dir /etc/containerd/certs.d.',
      'Do not use the folder _default for this: it would have images of registries that are not mirrored here looked for in what is hosted here. Give each mirrored registry its own.',
      ...(site.asksForLogin
        ? [
            'containerd has no login for a mirror but a header: below [host."…"] put [host."…".header] and Authorization = "Basic …", with user:password in Base64; or let everybody pull what this server mirrors.',
          ]
        : []),
    ],
    remarks: true,
  };
}
