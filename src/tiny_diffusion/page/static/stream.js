// Requests to the server, and streams of events that end when the reader leaves.

export async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : posted(body));
  await check(answer);
  return answer;
}

export const askJson = async (path, body) => (await ask(path, body)).json();

// Yields [name, data] for each event. Leaving the loop, or aborting `signal`, closes the stream and stops the work.
export async function* events(path, body, signal) {
  const answer = await fetch(path, { ...posted(body), signal });
  await check(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (waiting + value).split("\n\n");
      waiting = parts.pop();
      for (const part of parts) {
        const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s, 2)));
        if (fields.event === "failed") throw new Error(JSON.parse(fields.data).message);
        if (fields.event) yield [fields.event, JSON.parse(fields.data)];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function posted(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function check(answer) {
  if (answer.ok) return;
  let message = `the server answers ${answer.status}`;
  if ((answer.headers.get("content-type") || "").startsWith("application/json")) message = (await answer.json()).message;
  throw new Error(message);
}
