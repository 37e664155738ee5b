/** What the user of a command can mend: said in words, without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly code = 'COMMAND_FAILED';
}
