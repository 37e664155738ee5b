import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a tool comes from, for the message. Packages are Debian's. */
const origin: Readonly<Record<string, string>> = {
  buildah: 'Debian package buildah',
  busybox: 'Debian package busybox-static',
  containerd: 'Debian package containerd',
  crane: 'go install github.com/google/go-containerregistry/cmd/crane',
  ctr: 'Debian package containerd',
  curl: 'Debian package curl',
  docker: 'Debian package docker.io',
  dockerd: 'Debian package docker.io',
  'docker-registry': 'Debian package docker-registry',
  go: 'Debian package golang-go, or a newer one from go.dev',
  helm: 'go install helm.sh/helm/v3/cmd/helm',
  htpasswd: 'Debian package apache2-utils',
  nginx: 'Debian package nginx',
  openssl: 'Debian package openssl',
  oras: 'go install oras.land/oras/cmd/oras',
  podman: 'Debian package podman',
  regctl: 'go install github.com/regclient/regclient/cmd/regctl',
  script: 'Debian package bsdutils',
  skopeo: 'Debian package skopeo',
  tar: 'Debian package tar',
};

/**
 * The full path of a program. A missing tool is a failure and never a skip: a run that says "passed" has run everything.
 *
 * @throws Error that says which tool is missing and where it comes from
 */
export function requireTool(name: string): string {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    if (folder !== '' && isProgram(path)) return path;
  }
  throw new Error(`${name} is not installed, and this test needs it (${origin[name] ?? 'no known package'})`);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
