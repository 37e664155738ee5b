import type { Command } from 'commander';
import { policyOf } from '../access-control.ts';
import type { Action } from '../auth/access.ts';
import { AccessTokens } from '../auth/builtin/access-tokens.ts';
import { formatIdentity, type Identity, parseIdentity } from '../auth/identity.ts';
import type { PolicyAction } from '../auth/policy/policy.ts';
import { parseRepositoryName } from '../oci/name.ts';
import { CommandError } from './command-error.ts';
import { requireUser, withSharedStore } from './shared-store.ts';

interface ExplainOptions {
  user?: string;
  identity?: string;
  token?: string;
  repository?: string;
  action: string;
  config?: string;
}

export function addPolicy(program: Command): void {
  const policy = program.command('policy').summary('ask what the policy says');

  policy
    .command('explain')
    .summary('say whether somebody may do something, and which rule decides')
    .description(
      'Without --user, --token and --identity it is about somebody who has not logged in. Exits with 1 when it is denied.',
    )
    .option('-r, --repository <name>', 'the repository, e.g. team-a/app; needed for all actions but catalog')
    .requiredOption('-a, --action <action>', 'pull, push, delete, catalog or admin')
    .option('-u, --user <user>', 'a user')
    .option('-t, --token <name>', 'an access token, by its name')
    .option('-i, --identity <identity>', "any identity, e.g. 'oidc:github:my-org/app'")
    .option('-c, --config <file>', 'the configuration file')
    .action((options: ExplainOptions) =>
      withSharedStore(options.config, async (store, builtin) => {
        const given = [options.user, options.token, options.identity].filter((one) => one !== undefined);
        if (given.length > 1) throw new CommandError('--user, --token and --identity exclude each other');
        const action = parseAction(options.action);
        if (options.repository === undefined && action !== 'catalog') throw new CommandError('--repository is missing');
        const name = parseRepositoryName(options.repository ?? 'any');
        const identity = await identityOf(options, new AccessTokens(store, { readOnly: true }));
        if (identity?.kind === 'user') await requireUser(builtin, identity.name);
        const { allowed, rules } = policyOf(builtin).explain(identity, name, action);
        console.log(
          `${formatIdentity(identity)} ${allowed ? 'may' : 'may not'} ${action} ${options.repository ?? ''}`.trimEnd(),
        );
        for (const { index, repository, action: has } of rules) {
          const rule = builtin.policy[index];
          const verdict = !repository ? 'has not this repository' : has ? 'allows it' : 'has not this action';
          console.log(
            `  rule ${index + 1} (${rule?.repositories.join(' ')}; ${rule?.who.join(' ')}; ${rule?.actions.join(',')}): ${verdict}`,
          );
        }
        if (rules.length === 0) console.log('  no rule is about this caller');
        for (const { repositories, actions } of identity?.grants ?? []) {
          console.log(`  the token itself gives ${actions.join(',')} on ${repositories.join(' ') || 'nothing'}`);
        }
        for (const { repositories, actions } of identity?.limits ?? []) {
          console.log(`  the token is limited to ${actions.join(',')} on ${repositories.join(' ') || 'nothing'}`);
        }
        if (!allowed) process.exitCode = 1;
      }),
    );
}

function parseAction(text: string): PolicyAction {
  const actions: readonly string[] = ['pull', 'push', 'delete', 'catalog', 'admin'] satisfies (Action | PolicyAction)[];
  if (actions.includes(text)) return text as PolicyAction;
  throw new CommandError(`--action must be one of ${actions.join(', ')}`);
}

async function identityOf(options: ExplainOptions, tokens: AccessTokens): Promise<Identity | undefined> {
  if (options.token !== undefined) {
    for await (const { id, name } of tokens.list(() => {})) {
      if (name !== options.token) continue;
      const found = await tokens.resume(id);
      if (found === undefined) throw new CommandError(`the token ${name} has expired`);
      return found.identity;
    }
    throw new CommandError(`there is no token ${options.token}`);
  }
  if (options.identity === undefined) {
    return options.user === undefined ? undefined : { kind: 'user', name: options.user };
  }
  const identity = parseIdentity(options.identity);
  if (identity === undefined)
    throw new CommandError('--identity must be user:…, token:…, oidc:<issuer>:… or certificate:…');
  return identity;
}
