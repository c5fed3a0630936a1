// A job on the server: sent, followed until it is done, and taken back.

import { ApiError, request, upload } from "./api.js";
import { pause } from "./dom.js";
import { headers } from "./key.js";

const FIRST = 250; // milliseconds between looks at a job, growing to
const LAST = 2000;
// What a request would have been answered with for what a job failed by.
const STATUS = { unreadable: 422, too_many_slices: 413, timeout: 504, disk_full: 507 };

/**
 * Send files to a model and wait for its Prediction: {id, prediction}.
 * `onProgress` hears {sent} (a share) and then the job's own {files, files_done, slices_done}.
 * Raises ApiError, and what `signal` was aborted with; the server has then forgotten the job.
 */
export async function run(model, files, { signal, onProgress }) {
  const form = new FormData();
  for (const { file, name } of files) form.append("files", file, name);
  const path = `v1/jobs?model=${encodeURIComponent(model)}`;
  const onSent = (sent) => onProgress({ sent });
  const { id } = await (await upload(path, form, { signal, onSent })).json();
  try {
    return { id, prediction: await follow(id, signal, onProgress) };
  } catch (error) {
    forget(id);
    throw error;
  }
}

/** Take a job back, with everything the server keeps of it. Also works while the page is being closed. */
export function forget(id) {
  fetch(address(id), { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
}

export const image = (id, number) => `${address(id)}/slices/${number}/image`;
export const saliency = (id, number) => `${address(id)}/slices/${number}/saliency`;

const address = (id) => `v1/jobs/${encodeURIComponent(id)}`;

async function follow(id, signal, onProgress) {
  for (let delay = FIRST; ; delay = Math.min(1.3 * delay, LAST)) {
    const job = await (await request(address(id), { signal })).json();
    if (job.state === "done") return job.result;
    if (job.state === "failed") throw new ApiError(STATUS[job.error.code] ?? 500, job.error.code, job.error.message);
    onProgress(job.progress);
    await pause(delay, signal);
  }
}
