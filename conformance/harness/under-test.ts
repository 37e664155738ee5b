import { requireTool } from './require-tool.ts';
import { berthCommand, type Server, type ServerOptions, startBerth, startDistribution } from './server.ts';

/** The URL of a registry that somebody else has started (`BERTH_URL`), without a slash at its end; undefined: start one. */
export const givenUrl = process.env.BERTH_URL?.replace(/\/$/, '');

/** True when there is a given registry: tests that need servers of their own, set up in their own way, are left out. */
export const registryIsGiven = givenUrl !== undefined;

/** With `BERTH_SERVER=distribution` the tests start the program that berth stands in for, to see where they differ. */
const distribution = process.env.BERTH_SERVER === 'distribution';

export function startRegistry(options?: ServerOptions): Promise<Server> {
  return distribution ? startDistribution(options) : startBerth(options);
}

/** The command line of the server that {@link startRegistry} starts, for its other commands. */
export function registryCommand(): [command: string, ...args: string[]] {
  return distribution ? [requireTool('docker-registry')] : berthCommand();
}
