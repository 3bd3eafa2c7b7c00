// A running job: "Replaying 412 of 1,790 · about 8 s". Polls until it ends, then offers the result.
import { announce, element, send } from "./dom.js";

const FIRST_WAIT = 400;
const LONGEST_WAIT = 4000;
const ENDED = ["completed", "completed_with_errors", "failed", "cancelled"];
const figures = new Intl.NumberFormat("en");

function remaining(job, since) {
  const share = job.progress;
  const spent = (Date.now() - since) / 1000;
  if (!share || spent < 1) return "";
  const left = Math.max(1, Math.round((spent * (1 - share)) / share));
  return left < 90 ? ` · about ${left} s` : ` · about ${Math.round(left / 60)} min`;
}

function say(holder, job, since) {
  const verb = holder.dataset.verb || "Replaying";
  const text = holder.querySelector("[data-job-text]");
  const bar = holder.querySelector("progress");
  text.textContent = job.total
    ? `${verb} ${figures.format(job.done + job.failed)} of ${figures.format(job.total)}${remaining(job, since)}`
    : `${verb} …`;
  if (bar && job.total) {
    bar.max = job.total;
    bar.value = job.done + job.failed;
  }
}

function finish(holder, job) {
  const good = job.status.startsWith("completed");
  const cancel = holder.querySelector("[data-job-cancel]");
  if (cancel) cancel.remove();
  const text = good
    ? `Done: ${figures.format(job.done)} of ${figures.format(job.total)}` +
      (job.failed ? `, ${figures.format(job.failed)} failed` : "")
    : `Stopped: ${job.status}. What was finished is kept.`;
  holder.querySelector("[data-job-text]").textContent = text;
  announce(text);
  if (good && holder.dataset.then) {
    holder.append(element("a", { class: "button", href: holder.dataset.then, text: "Show" }));
  }
}

async function follow(holder) {
  const since = Date.now();
  let wait = FIRST_WAIT;
  for (;;) {
    const answer = await send(holder.dataset.job, "GET").catch(() => null);
    if (answer && answer.ok) {
      if (ENDED.includes(answer.data.status)) return finish(holder, answer.data);
      say(holder, answer.data, since);
    } else {
      holder.querySelector("[data-job-text]").textContent = "Reconnecting to the job …";
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(LONGEST_WAIT, wait * 1.3);
  }
}

function cancellable(holder) {
  const button = holder.querySelector("[data-job-cancel]");
  if (!button) return;
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await send(holder.dataset.cancel, "POST", {}).catch(() => null);
    if (!answer || !answer.ok) button.disabled = false;
  });
}

export function startJobs() {
  for (const holder of document.querySelectorAll("[data-job]")) {
    cancellable(holder);
    follow(holder);
  }
}
