// The frame of a client under test: one job a line on standard input, and for each one line of what
// the client's user sees. Jobs run at the same time. It ends when standard input does.
//
//   {"id": 1, "verb": "ask", "text": "…", "tools": ["…"], "stream": false, "result_id": "…"}
//   {"id": 1, "text": "…", "finish": "stop", "ran": ["…"]}   or   {"id": 1, "error": {…}, "ran": […]}

import { createInterface } from "node:readline";

export const [baseURL, apiKey] = process.argv.slice(2);

// What a person who catches the error can read from it, wherever the client keeps it.
function told(error) {
  const body = error.error ?? (error.responseBody ? JSON.parse(error.responseBody).error : {});
  return {
    kind: error.constructor.name,
    status: error.status ?? error.statusCode ?? null,
    code: body.code ?? null,
    message: error.message,
    approval: body.approval ?? null,
  };
}

// `verbs` are functions of the job and of a list that they add the names of the tools they run to.
export function serve(verbs) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const job = JSON.parse(line);
    const ran = [];
    let seen;
    try {
      seen = await verbs[job.verb](job, ran);
    } catch (error) {
      seen = { error: told(error) };
    }
    console.log(JSON.stringify({ id: job.id, ran, ...seen }));
  });
}
