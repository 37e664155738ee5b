import { type Command, InvalidArgumentError } from 'commander';
import type { Action } from '../auth/access.ts';
import { type AccessToken, AccessTokens } from '../auth/builtin/access-tokens.ts';
import { isRepositoryPattern } from '../config/sections/auth.ts';
import { CommandError } from './command-error.ts';
import { parseAge } from './duration.ts';
import { requireUser, withSharedStore } from './shared-store.ts';
import { printTable } from './table.ts';
import { warn } from './warn.ts';

interface CreateOptions {
  name: string;
  user?: string;
  repository?: string[];
  actions: Action[];
  expires?: number;
  config?: string;
}

export function addToken(program: Command): void {
  const token = program
    .command('token')
    .summary('create, list and revoke access tokens')
    .description(
      'Access tokens stand for a password, with any user name, in docker login and everywhere else. They are kept, hashed, in the storage of the registry, so that all replicas know them.',
    );

  token
    .command('create')
    .summary('create a token and print it, once')
    .description(
      'Without --user the token is a robot of its own, which may do what --repository and --actions say (and what the policy gives to token:<name>). With --user it acts for that user, within these limits.',
    )
    .requiredOption('-n, --name <name>', 'what it is for, e.g. ci')
    .option('-u, --user <user>', 'the user for whom it acts')
    .option('-r, --repository <pattern...>', "which repositories, e.g. 'team-a/**'")
    .option('-a, --actions <actions>', 'pull, push, delete, divided by commas', parseActions, ['pull'])
    .option('-e, --expires <age>', 'after which it is not valid any more, e.g. 90d', parseAge)
    .option('-c, --config <file>', 'the configuration file')
    .addHelpText(
      'after',
      `
Example:
  berth token create --name ci --repository 'team-a/**' --actions pull,push --expires 90d
  echo $TOKEN | docker login --username ci --password-stdin registry.example`,
    )
    .action(async ({ name, user, repository, actions, expires, config }: CreateOptions) => {
      const repositories = repository?.flatMap((list) => list.split(',')) ?? (user === undefined ? [] : ['**']);
      if (expires !== undefined && expires <= 0) throw new CommandError('--expires must be more than nothing');
      if (user === undefined && repositories.some((pattern) => pattern.includes('{name}'))) {
        throw new CommandError('{name} is the name of a user: it means something with --user only');
      }
      if (repositories.join('').length > maxPatterns) {
        throw new CommandError(`the patterns must not have more than ${maxPatterns} characters together`);
      }
      await withSharedStore(config, async (store, builtin) => {
        if (user !== undefined) await requireUser(builtin, user);
        const created = await new AccessTokens(store, { readOnly: false }).create({
          name,
          user,
          repositories: repositories.map(checkPattern),
          actions,
          expires: expires === undefined ? undefined : new Date(Date.now() + expires),
        });
        console.error(`created token ${name} with id ${created.id}; it is not shown again:`);
        console.log(created.token);
      });
    });

  token
    .command('list')
    .summary('list the tokens')
    .option('--json', 'as JSON')
    .option('-c, --config <file>', 'the configuration file')
    .action(async ({ json, config }: { json?: boolean; config?: string }) => {
      await withSharedStore(config, async (store) => {
        const tokens: AccessToken[] = [];
        for await (const one of new AccessTokens(store, { readOnly: true }).list(warn)) tokens.push(one);
        tokens.sort((a, b) => (a.name < b.name ? -1 : 1));
        if (json) console.log(JSON.stringify(tokens, undefined, 2));
        else printTokens(tokens);
      });
    });

  token
    .command('revoke')
    .argument('<name-or-id>', 'as list shows it')
    .summary('revoke a token')
    .description(
      'After ten seconds nobody can log in with it any more. A client that has just done so can go on for auth.builtin.tokenlifetime and a minute; logins that it keeps (docker login) are of no use then.',
    )
    .option('-c, --config <file>', 'the configuration file')
    .action(async (wanted: string, { config }: { config?: string }) => {
      await withSharedStore(config, async (store) => {
        const tokens = new AccessTokens(store, { readOnly: false });
        // Also one that cannot be read any more.
        if (await tokens.revoke(wanted)) return console.log(`revoked ${wanted}`);
        // Two that were made at the same moment may have one name.
        let found = 0;
        for await (const { id, name } of tokens.list(warn)) {
          if (name !== wanted) continue;
          await tokens.revoke(id);
          console.log(`revoked ${name} (${id})`);
          found += 1;
        }
        if (found === 0) throw new CommandError(`there is no token ${wanted}`);
      });
    });
}

/** They stand in the tokens that clients get for it. In characters. */
const maxPatterns = 2_000;

function parseActions(text: string): Action[] {
  const actions = text.split(',').map((action) => action.trim());
  if (actions.every((action) => ['pull', 'push', 'delete'].includes(action))) return actions as Action[];
  throw new InvalidArgumentError('must be pull, push or delete, divided by commas');
}

function checkPattern(pattern: string): string {
  if (isRepositoryPattern(pattern)) return pattern;
  throw new CommandError(`${pattern} is no pattern of repository names, such as library/* or team-a/**`);
}

function printTokens(tokens: readonly AccessToken[]): void {
  const rows = tokens.map(({ id, name, user, grants, expires, lastUsed }) => [
    id,
    name,
    user ?? '-',
    grants.map(({ repositories, actions }) => `${shortened(repositories.join(' '))} ${actions.join(',')}`).join('; ') ||
      '-',
    expires === undefined ? 'never' : `${day(expires)}${expires.getTime() <= Date.now() ? ' (expired)' : ''}`,
    lastUsed === undefined ? 'never' : day(lastUsed),
  ]);
  printTable(['ID', 'NAME', 'USER', 'REPOSITORIES AND ACTIONS', 'EXPIRES', 'LAST USED'], rows);
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
