"""What a run looks like in the end: a table of what was done, and, when something is violated, everybody's last lines."""

import phases


def table(run):
    """As Markdown: it goes to the documentation as it is."""
    done = [d for d in run.done if d.injected]
    lines = [f"Seed {run.seed}, {'one pod after the other' if run.bench.sequential else 'all pods at once'}, "
             f"{'with a token and access lists' if run.bench.safe else 'without a token'}: "
             f"{len(done)} faults of {len({d.kind for d in done})} kinds in {run.took:.0f} s, {run.tree.rounds} rounds, "
             f"{len(run.tree.leaders)} leaders, {sum(d.refused for d in done)} refusals (412), "
             f"{sum(len(p.history()) for p in run.bench.pods)} starts of workloads, "
             f"files looked at {run.looks_at_files / run.took:.0f} times a second, "
             f"at rest after {run.settled_after or float('nan'):.1f} s, {len(run.violations)} violations."
             f"{f' ZooKeeper itself stood still and was restarted: {run.stood}.' if run.stood else ''}",
             "", "| fault | times |", "|---|---|"]
    counts = {}
    for one in done:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    lines += [f"| {kind} | {count} |" for kind, count in sorted(counts.items())]
    over = [f"{one.kind}: {one.target}, {one.note}." for one in done if "proxy" in one.kind]
    return "\n".join(lines) + "\n\n" + "".join(f"{line}\n" for line in [*over, ""] if over) + phases.table(run)


def tail(text, lines):
    return "\n".join(text.splitlines()[-lines:])


def parties(run):
    """The last lines of all; of a pod that is accused, all of them."""
    def lines(pod):
        return 10000 if any(pod.name in line for line in run.violations) else 60

    text = "---- what was done\n"
    for one in run.done:
        end = f"{one.end - run.began:.2f}" if one.end else "?"
        text += (f"{one.begin - run.began:8.2f} to {end:>8}  {one.kind}: {one.target} {one.note} ends={sorted(one.ends)}"
                 f"{'' if one.injected else ' (not done)'}\n")
    for pod in run.bench.pods:
        text += f"---- {pod.name} of {pod.host.name}, pod ids {sorted(pod.ids)}\n{tail(pod.said, lines(pod))}\n"
        starts = [f"{t - run.began:.2f}:{'/'.join(words)}" for t, words in pod.history()]
        text += f"starts: {' '.join(starts)}\n"
    for server in run.bench.servers:
        text += f"---- {server.name}\n{tail((server.dir / 'log').read_text(errors='replace'), 15)}\n"
    for host in run.bench.hosts:
        text += f"---- engine {host.name}\n{tail((host.dir / 'log').read_text(errors='replace'), 15)}\n"
    return text
