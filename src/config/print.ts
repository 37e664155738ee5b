import { Document, isMap, isScalar, isSeq, type Node } from 'yaml';
import { z } from 'zod';
import { type Config, type ConfigValues, configSchema } from './schema.ts';

/**
 * The configuration as YAML: every key with its value, to be read and to be used as a file again (once the secrets, which
 * are not shown, have been put in).
 *
 * @param origins as `loadConfig` gives them: what was not a default gets a remark of where it is from
 */
export function printConfig(config: Config, origins: ReadonlyMap<string, string> = new Map()): string {
  // Encoding changes nothing, so that it may be given what is read-only.
  const { version, log, storage, ...rest } = z.encode(configSchema, config as unknown as ConfigValues);
  const { name, parameters } = config.storage.driver;
  const driver = { [name]: Object.keys(parameters).length > 0 ? parameters : null };
  // The words of YAML 1.1, so that a text `off` is quoted: distribution reads it as false otherwise.
  const document = new Document(
    // A number, because that is how everybody writes it.
    { version: Number(version), log, storage: { ...driver, ...storage }, ...rest },
    { schema: 'yaml-1.1' },
  );
  if (document.contents !== null) remark(document.contents, '', origins);
  return document.toString({ lineWidth: 0 });
}

function remark(node: Node, path: string, origins: ReadonlyMap<string, string>): void {
  if (!isMap(node)) return;
  for (const { key, value } of node.items) {
    const below = path === '' ? String(key) : `${path}.${String(key)}`;
    const origin = origins.get(below);
    if (isScalar(value) || (isSeq(value) && value.items.every(isScalar))) {
      if (isSeq(value)) value.flow = true;
      if (origin !== undefined) value.comment = ` ${origin}`;
    } else if (isMap(value)) remark(value, below, origins);
  }
}
