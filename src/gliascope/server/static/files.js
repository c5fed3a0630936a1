// Files from a drop, a chooser or a folder, each with the name it has in what was given.

/** What a chooser holds, as {file, name}; hidden files are left out, as `gliascope predict` does. */
export function chosen(input) {
  return keep([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
}

/** What was dropped, folders walked through. Must be called while the drop event is being handled. */
export async function dropped(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  // Entries and files can be asked for only now; a browser without entries gives files alone.
  const roots = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()).filter(Boolean);
  const found = [];
  for (const root of roots) {
    if (root instanceof File) found.push({ file: root, name: root.name });
    else await walk(root, found);
  }
  return keep(found);
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  const inside = [];
  for (let part = [null]; part.length > 0; ) {
    part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    inside.push(...part);
  }
  inside.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  for (const one of inside) await walk(one, found);
}

function keep(files) {
  return files.filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")));
}
