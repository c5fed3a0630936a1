// Files from a drop, a file chooser or a folder chooser, each with its name and the folders above it.

/** Files of a chooser, as {file, name}; hidden files are left out, as in `gliascope predict`. */
export function chosen(input) {
  return withoutHidden([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
}

/** Files that were dropped, with those in folders. It must be called while the drop event is handled. */
export async function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // Entries and files can be read only now. A browser without entries gives files only, and no folders.
  const roots = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  const files = [];
  for (const root of roots) {
    if (root instanceof File) files.push({ file: root, name: root.name });
    else await walk(root, files);
  }
  return withoutHidden(files);
}

async function walk(entry, files) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    files.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  const inside = [];
  for (let batch = [null]; batch.length > 0; ) {
    batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    inside.push(...batch);
  }
  inside.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  for (const one of inside) await walk(one, files);
}

function withoutHidden(files) {
  return files.filter(({ name }) => !name.split("/").some((folder) => folder.startsWith(".")));
}
