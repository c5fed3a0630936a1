// What numbers and verdicts are called on the page.

export const VERDICTS = ["accepted", "uncertain", "out of scope", "unchecked"];

const WHY = {
  "out of scope":
    "The picture is unlike all the model learned from. Do not rely on what it says of it.",
  unchecked: "This model comes without a calibrator: its probabilities are not calibrated, and nothing tells what they are worth.",
};

/** A class as people write it. */
export const className = (label) => label.replaceAll("_", " ");

/** A share as a percentage that never claims certainty. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1\u00a0%";
  if (share < 1 && share > 0.999) return "> 99.9\u00a0%";
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

/** `1 slice`, `2 slices`. */
export function count(number, noun) {
  const nouns = number === 1 ? noun : noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${number.toLocaleString("en")}\u00a0${nouns}`;
}

const WHY_OF_STUDY = {
  "out of scope":
    "Fewer than half of its slices are like anything the model learned from. Do not rely on what it says of the study.",
  unchecked: "Nothing has been calibrated for whole studies: no number here says how often such an answer is right.",
};

/** Why a finding, of a slice or of a study, has its verdict, in a sentence or two. */
export function why({ verdict, prediction_set: set }, ofStudy) {
  if (ofStudy) return WHY_OF_STUDY[verdict];
  if (verdict in WHY) return WHY[verdict];
  if (verdict === "accepted") return "In scope, and only one class is in the prediction set. It may still be wrong.";
  return set?.length
    ? `The model cannot tell ${set.length} classes apart here.`
    : "No class fits well enough to be in the prediction set: the model does not know.";
}

/** What the prediction set promises, at `level`; null where there is none. */
export function promise({ prediction_set: set }, level) {
  if (!set) return null;
  const share = level ? `${Number((100 * level).toPrecision(4))}\u00a0%` : "most";
  if (!set.length) return `The sets hold the truth in ${share} of patients like those the model was validated on; this one is empty.`;
  return `In ${share} of patients like those the model was validated on, the truth is in the set.`;
}

/** The set itself. */
export const setOf = ({ prediction_set: set }) => (set.length ? set.map(className).join(", ") : "empty");

/** One slice by its file's name and place in it; `volumes` are the names of files that hold several. */
export const sliceName = ({ file, slice }, volumes) => (volumes.has(file) ? `${file}, slice ${slice}` : file);

/** A finding in one line, as the list and the screen reader have it. */
export const summary = (finding) =>
  finding ? `${className(finding.label)} ${percent(finding.probabilities[finding.label])}, ${finding.verdict}` : "not read";
