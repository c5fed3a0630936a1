// The page's texts for numbers, classes and verdicts.

export const VERDICTS = ["accepted", "uncertain", "out of scope", "unchecked"];

const WHY = {
  "out of scope":
    "The slice is unlike the training data. Do not rely on the model's finding.",
  unchecked: "This model comes without a calibrator: its probabilities are not calibrated, and how often they are right is unknown.",
};

/** A class's name for display. */
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
    "Fewer than half of its slices are like the training data. Do not rely on the model's finding of the study.",
  unchecked: "No calibration for whole studies exists: how often such a finding is right is unknown.",
};

/** Why a finding, of a slice or of a study, has its verdict, in a sentence or two. */
export function why({ verdict, prediction_set: set }, ofStudy) {
  if (ofStudy) return WHY_OF_STUDY[verdict];
  if (verdict in WHY) return WHY[verdict];
  if (verdict === "accepted") return "In scope, and only one class is in the prediction set. It may still be wrong.";
  return set?.length
    ? `The model cannot tell ${set.length} classes apart here.`
    : "No class is probable enough to be in the prediction set: the model cannot tell the class.";
}

/** The promise of the prediction set at `level`; null if there is no set. */
export function promise({ prediction_set: set }, level) {
  if (!set) return null;
  const share = level ? `${Number((100 * level).toPrecision(4))}\u00a0%` : "most";
  if (!set.length) return `The sets hold the truth in ${share} of patients like those the model was validated on; this one is empty.`;
  return `In ${share} of patients like those the model was validated on, the truth is in the set.`;
}

/** The classes of the prediction set. */
export const setOf = ({ prediction_set: set }) => (set.length ? set.map(className).join(", ") : "empty");

/** Name of a slice: its file, and its number within the file if that is one of `volumes`. */
export const sliceName = ({ file, slice }, volumes) => (volumes.has(file) ? `${file}, slice ${slice}` : file);

/** A finding in one line, for the list and for screen readers. */
export const summary = (finding) =>
  finding ? `${className(finding.label)} ${percent(finding.probabilities[finding.label])}, ${finding.verdict}` : "not read";
