import { Command } from 'commander';
import { addCheckConfig } from './check-config.ts';
import { addHtpasswd } from './htpasswd.ts';
import { addKeys } from './keys.ts';
import { addMirror } from './mirror.ts';
import { addPolicy } from './policy.ts';
import { addPurgeUploads } from './purge-uploads.ts';
import { addServe } from './serve.ts';
import { addToken } from './token.ts';
import { version } from './version.ts';

/** What `berth` understands; one file per command. Also answers to the command lines of distribution's `registry`. */
export function createProgram(): Command {
  const program = new Command('berth')
    .description('An OCI registry: a private registry, and a drop-in for registry:2 and registry:3.')
    .version(version(), '-v, --version', 'print the version')
    .showHelpAfterError('(berth --help shows what there is)')
    .addHelpText(
      'after',
      `
The configuration is distribution's config.yml: the file that is named, else the one in REGISTRY_CONFIGURATION_PATH,
else /etc/berth/config.yml, /etc/distribution/config.yml or /etc/docker/registry/config.yml, else built-in defaults
(filesystem in /var/lib/registry, port 5000). REGISTRY_… variables override it, e.g. REGISTRY_HTTP_ADDR=:8080.`,
    );
  addServe(program);
  addCheckConfig(program);
  addPurgeUploads(program);
  addHtpasswd(program);
  addToken(program);
  addPolicy(program);
  addKeys(program);
  addMirror(program);
  return program;
}
