/** Something that the user of a command should know, and that did not stop it. */
export function warn(error: unknown): void {
  console.error(`warning: ${error instanceof Error ? error.message : error}`);
}
