import type { Config } from './config/schema.ts';
import { compileExpression } from './config/values.ts';
import type { Validation } from './registry/validation.ts';

/** The configured rules for manifests in the registry's words. */
export function validationOf({ disabled, manifests }: Config['validation']): Validation {
  const { platforms, platformlist } = manifests.indexes;
  const { allow, deny } = manifests.urls;
  const compile = (patterns: readonly string[]) => patterns.map(compileExpression);
  return {
    references: !disabled,
    platforms: disabled ? 'none' : platforms === 'list' ? platformlist : platforms,
    urls: disabled ? { allow: [], deny: [] } : { allow: compile(allow), deny: compile(deny) },
  };
}
