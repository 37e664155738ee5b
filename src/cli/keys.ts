import type { Command } from 'commander';
import { readKeys, rotateKeys } from '../auth/builtin/keys.ts';
import { CommandError } from './command-error.ts';
import { parseAge } from './duration.ts';
import { withSharedStore } from './shared-store.ts';
import { warn } from './warn.ts';

/** In milliseconds. */
const leastOverlap = 600_000;

export function addKeys(program: Command): void {
  const keys = program
    .command('keys')
    .summary('list and rotate the keys that tokens are signed with')
    .description(
      'auth.builtin signs its tokens with a key that it makes at the first start and keeps in the storage, for all replicas. Whoever can read the storage can sign tokens.',
    );

  keys
    .command('list')
    .summary('list the keys')
    .option('-c, --config <file>', 'the configuration file')
    .action(async ({ config }: { config?: string }) => {
      await withSharedStore(config, async (store) => {
        for (const { kid, created, expires } of await readKeys(store, warn)) {
          const state = expires === undefined ? 'signs' : `is believed until ${expires.toISOString()}`;
          console.log(`${kid}  made ${created.toISOString()}  ${state}`);
        }
      });
    });

  keys
    .command('rotate')
    .summary('make a new key to sign with')
    .description(
      'Running servers sign with the new key when all have seen it, after half a minute. What the keys before it have signed is believed for the overlap; its default is auth.builtin.loginlifetime, after which no login of theirs is left.',
    )
    .option('-o, --overlap <age>', 'how long the keys before it are believed, e.g. 24h', parseAge)
    .option('--revoke', 'delete the keys before it: everybody has to log in again')
    .option('-c, --config <file>', 'the configuration file')
    .action(async ({ overlap, revoke, config }: { overlap?: number; revoke?: boolean; config?: string }) => {
      await withSharedStore(config, async (store, builtin) => {
        if (overlap !== undefined && overlap < leastOverlap) {
          throw new CommandError(
            '--overlap must be at least 10m: servers sign with the new key after half a minute, and what is signed before serves for a while. To end everything at once use --revoke',
          );
        }
        const { kid, before } = await rotateKeys(store, revoke === true ? 0 : (overlap ?? builtin.loginlifetime));
        console.log(`made ${kid}`);
        for (const key of before) console.log(`${revoke === true ? 'deleted' : 'retired'} ${key.kid}`);
      });
    });
}
