// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What an execution looked like, for people; and what scenarios tell the explorer.
#include <stdio.h>

#include "testkit/explore/engine.h"

namespace barebpf::explore {

namespace {

const char* name_of(Op op) {
    static const char* const kNames[] = {
        "load",     "store",           "rmw",           "cmpxchg",     "fence",    "spin",
        "lock",     "try lock",        "unlock",        "begin read",  "end read", "call_rcu",
        "callback", "synchronize_rcu", "rcu_barrier",   "alloc",       "free",     "irq",
        "wake",     "sleep",           "-- NMI begins", "-- NMI ends", "note",     "switch",
        "-- ends"};
    return kNames[static_cast<u32>(op)];
}

const char* name_of(Order order) {
    static const char* const kNames[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    return kNames[static_cast<u32>(order)];
}

bool has_value(Op op) {
    return op == Op::Load || op == Op::Store || op == Op::Rmw || op == Op::CompareExchange;
}

// "kernel/bpf/hashtab.cc", whatever the compiler was called with.
const char* short_file(const char* file) {
    const std::string path = file;
    for (const char* root : {"kernel/", "testkit/", "arch/"}) {
        const size_t at = path.rfind(root);
        if (at != std::string::npos) return file + at;
    }
    return file;
}

constexpr size_t kShown = 400;  // the last so many steps of a long execution

}  // namespace

const char* name_of(Finding finding) {
    static const char* const kNames[] = {"nothing",
                                         "check failed",
                                         "deadlock",
                                         "livelock",
                                         "bad memory access",
                                         "leak",
                                         "contract",
                                         "panic",
                                         "overlapping atomics",
                                         "nondeterminism"};
    return kNames[static_cast<u32>(finding)];
}

std::string to_text(const Site& site) {
    if (!site.file) return "somewhere";
    return std::string(short_file(site.file)) + ":" + std::to_string(site.line);
}

void Engine::trace(Op op, const void* at, u32 size, u64 value, u64 before, Order order, Site site,
                   const char* text) {
    if (!tracing_ || !running_ || current_->stalled || futile_ > 2) return;
    const u32 decision = current_->decisions ? current_->decisions - 1 : 0;
    events_.push_back({current_->number, decision, current_->nmi != 0, op, order, at, size, value,
                       before, site, text});
}

std::string Engine::trace_text() const {
    std::string text;
    char line[320];
    const size_t first = events_.size() > kShown ? events_.size() - kShown : 0;
    if (first) text += "  ... " + std::to_string(first) + " steps before\n";
    for (size_t i = first; i < events_.size(); ++i) {
        const Event& event = events_[i];
        const char* who = event.cpu == options_->cpus ? "rcu  " : "CPU  ";
        int length = snprintf(line, sizeof line, "  %s%u.%-4u%s %-9s", who, event.cpu,
                              event.decision, event.nmi ? " NMI" : "    ", name_of(event.op));
        const auto rest = [&] { return sizeof line - static_cast<size_t>(length); };
        if (event.at)
            length +=
                snprintf(line + length, rest(), " %s", heap.describe(event.at, false).c_str());
        if (event.op == Op::Rmw)
            length += snprintf(line + length, rest(), " %#lx ->",
                               static_cast<unsigned long>(event.before));
        if (event.op == Op::Note && event.text) {
            length += snprintf(line + length, rest(), " %s %#lx", event.text,
                               static_cast<unsigned long>(event.value));
        } else if (has_value(event.op)) {
            length += snprintf(line + length, rest(), " %#lx %s %s",
                               static_cast<unsigned long>(event.value), name_of(event.order),
                               event.text ? event.text : "");
        } else if (event.text) {
            length += snprintf(line + length, rest(), " %s", event.text);
        }
        if (event.site.file) {
            length += snprintf(line + length, rest(), "  %s", to_text(event.site).c_str());
        }
        text += line;
        text += '\n';
    }
    return text;
}

void check(bool holds, const char* what) {
    if (holds) return;
    if (engine.running()) engine.stop(Finding::Check, what);
    engine.found(Finding::Check, what);
}

void note(const char* text, u64 value) {
    engine.trace(Op::Note, nullptr, 0, value, 0, Order::Relaxed, {}, text);
}

void name(const void* memory, size_t size, const char* name) {
    engine.heap.set_name(memory, size, name);
}

}  // namespace barebpf::explore
