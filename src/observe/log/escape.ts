/** Control characters, and those that break or turn round a line: nothing logged may look like another line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function hex(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Text without unprintable characters, for where no quotes are needed. */
export function escapeUnprintable(text: string): string {
  return text.replace(unprintable, hex);
}

const harmless = /^[\u0020\u0021\u0023-\u005b\u005d-\u007e]*$/;

/** Text for between double quotes. */
export function escapeQuoted(text: string): string {
  return harmless.test(text) ? text : escapeUnprintable(text.replaceAll('\\', '\\\\').replaceAll('"', '\\"'));
}

const bare = /^[\w./:@+~%<>,*-]+$/;

/** A value for `key=value`: quoted unless it is one plain word. */
export function quoteValue(text: string): string {
  return bare.test(text) ? text : `"${escapeQuoted(text)}"`;
}
