/** Pictures and tones for the browsers' devices, each made by `loadtest signal`. */
import { execFile } from "node:child_process";
import { mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { LOADTEST, SIGNALS } from "./paths.mjs";

/** Files with the picture and the tone of a sender (0 to 15); made when they are not there yet. */
export async function signalOf(id, size) {
  await mkdir(SIGNALS, { recursive: true });
  const files = { picture: join(SIGNALS, `${id}-${size}.y4m`), sound: join(SIGNALS, `${id}-${size}.wav`) };
  const both = await Promise.all(Object.values(files).map((file) => stat(file).then(() => true, () => false)));
  if (both.every(Boolean)) return files;
  // Written beside and renamed: a run that is interrupted here leaves no half file behind.
  const made = { picture: `${files.picture}.new`, sound: `${files.sound}.new` };
  const command = ["signal", "--id", `${id}`, "--seconds", "16", "--size", size, "--picture", made.picture, "--sound", made.sound];
  await promisify(execFile)(LOADTEST, command);
  await rename(made.picture, files.picture);
  await rename(made.sound, files.sound);
  return files;
}
