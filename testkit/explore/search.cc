// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which executions to try: systematically, at random, and again.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "testkit/explore/asan.h"
#include "testkit/explore/engine.h"

namespace barebpf::explore {

namespace {

// ── Replay ────────────────────────────────────────────────────────────────────────────────────

// Deviates where it is told to, if it can there.
class Replay : public Strategy {
public:
    explicit Replay(const std::vector<Deviation>& deviations) : deviations_(deviations) {}

    u32 pick(const Point& point) override {
        for (const Deviation& wanted : deviations_) {
            if (wanted.fiber != point.fiber || wanted.at != point.at) continue;
            for (u32 i = 1; i < point.count; ++i) {
                if (point.options[i].act == wanted.act && point.options[i].value == wanted.value)
                    return i;
            }
        }
        return 0;
    }

private:
    const std::vector<Deviation>& deviations_;
};

// ── Systematic ────────────────────────────────────────────────────────────────────────────────

constexpr const char* kDiffers = "two executions with the same choices differ";

// Depth first over all executions whose deviations cost no more than the bound.
class Systematic : public Strategy {
public:
    Systematic(const Options& options, u32 bound) : options_(options), bound_(bound) {}

    void begin() override { depth_ = 0; }

    u32 pick(const Point& point) override {
        u32 left = 0;
        for (u32 i = 1; i < point.count; ++i) {
            if (affordable(point.options[i].cost)) left |= 1u << i;
        }
        // What is affordable depends only on the path so far, so it is the same each time it is walked.
        if (left == 0) return 0;
        if (depth_ < path_.size()) {
            const Taken& taken = path_[depth_++];
            if (taken.fiber != point.fiber || taken.at != point.at || taken.count != point.count) {
                engine.stop(Finding::Nondeterminism, kDiffers);
            }
            return taken.option;
        }
        path_.push_back({point.fiber, point.at, point.count, 0, left});
        ++depth_;
        return 0;
    }

    // It went the whole way that it was to repeat.
    bool walked() const { return depth_ == path_.size(); }
    // To the next execution; false: there is none.
    bool advance() {
        while (!path_.empty()) {
            Taken& last = path_.back();
            if (last.left) {
                last.option = static_cast<u32>(__builtin_ctz(last.left));
                last.left &= last.left - 1;
                return true;
            }
            path_.pop_back();
        }
        return false;
    }

private:
    struct Taken {
        u32 fiber;
        u32 at;
        u32 count;
        u32 option;
        u32 left;  // options to try later, a bit each
    };

    bool affordable(Cost cost) const {
        if (cost == Cost::Free) return true;
        if (engine.used_in_all() >= bound_) return false;
        switch (cost) {
            case Cost::Preemption:
                return engine.used(cost) < options_.preemptions;
            case Cost::Nmi:
                return engine.used(cost) < options_.nmis;
            case Cost::Stale:
                return engine.used(cost) < options_.stale;
            default:
                return engine.used(cost) < options_.failed_allocations;
        }
    }

    const Options& options_;
    u32 bound_;
    std::vector<Taken> path_;
    size_t depth_ = 0;
};

// ── Random ────────────────────────────────────────────────────────────────────────────────────

class RandomNumbers {
public:
    explicit RandomNumbers(u64 seed) : state_(seed) {}
    u64 next() {
        u64 z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    u32 below(u64 limit) { return static_cast<u32>(next() % limit); }

private:
    u64 state_;
};

// In turns: a walk that deviates with a probability of its own; and priorities that change at a few points, where the
// highest runs (the scheme known as PCT).
class Random : public Strategy {
public:
    Random(const Options& options, u64 seed, u64 points, u32 flavour)
        : options_(options),
          random_(seed),
          by_priority_(flavour & 1),
          gap_(1u << random_.below(7)) {
        for (u32& priority : priorities_) priority = kChanges + 1 + random_.below(1000);
        for (u64& change : changes_) change = random_.below(points + 1);
    }
    u64 points() const { return points_; }

    u32 pick(const Point& point) override {
        ++points_;
        const bool schedule = point.options[point.count - 1].act != Act::Stale &&
                              point.options[point.count - 1].act != Act::FailAllocation;
        const u32 other = schedule ? pick_rare(point, Act::Nmi, Cost::Nmi, options_.nmis) : 0;
        if (other) return other;
        if (!schedule) return random_.below(8) == 0 ? pick_other(point) : 0;
        return by_priority_ ? pick_highest(point)
               : random_.below(gap_) == 0 || point.options[0].act == Act::Switch
                   ? pick_switch(point)
                   : 0;
    }

private:
    static constexpr u32 kChanges = 3;

    u32 pick_rare(const Point& point, Act act, Cost cost, u32 limit) {
        if (engine.used(cost) >= limit || random_.below(24)) return 0;
        for (u32 i = 1; i < point.count; ++i) {
            if (point.options[i].act == act) return i;
        }
        return 0;
    }
    u32 pick_other(const Point& point) {
        const Cost cost = point.options[1].cost;
        const u32 limit = cost == Cost::Stale ? options_.stale : options_.failed_allocations;
        return engine.used(cost) < limit ? 1 + random_.below(point.count - 1) : 0;
    }
    u32 pick_switch(const Point& point) {
        u32 count = 0;
        while (count < point.count && point.options[count].act != Act::Nmi) ++count;
        return random_.below(count);
    }
    u32 pick_highest(const Point& point) {
        for (u32 i = 0; i < kChanges; ++i) {
            if (changes_[i] == points_) priorities_[point.fiber & 7] = i;
        }
        u32 best = 0;
        u32 best_priority = priority_of(point, 0);
        for (u32 i = 1; i < point.count; ++i) {
            if (point.options[i].act != Act::Switch || priority_of(point, i) <= best_priority)
                continue;
            best = i;
            best_priority = priority_of(point, i);
        }
        return best;
    }
    u32 priority_of(const Point& point, u32 option) const {
        const bool stays = point.options[option].act == Act::Go;
        return priorities_[(stays ? point.fiber : point.options[option].value) & 7];
    }

    const Options& options_;
    RandomNumbers random_;
    bool by_priority_;
    u32 gap_;
    u64 points_ = 0;
    u32 priorities_[8];
    u64 changes_[kChanges];
};

// ── A search ──────────────────────────────────────────────────────────────────────────────────

class Search {
public:
    Search(const Options& options, const Maker& maker) : options_(options), maker_(maker) {
        engine.forget_shared();
        engine.share_all(false);
        outcome_.name = options.name;
    }

    Outcome search() {
        if (!systematic()) random();
        if (engine.finding() != Finding::None) reduce_and_report(engine.deviations());
        return outcome_;
    }
    Outcome replay(const std::vector<Deviation>& deviations) {
        engine.share_all(true);
        Replay strategy(deviations);
        run(strategy, false);
        report(deviations);
        return outcome_;
    }

private:
    // True: this execution found something.
    bool run(Strategy& strategy, bool trace) {
        engine.run(options_, maker_, strategy, trace);
        ++outcome_.schedules;
        outcome_.steps += engine.steps();
        return engine.finding() != Finding::None;
    }

    // True: there is a finding.
    bool systematic() {
        for (u32 bound = 0; bound <= options_.bound; ++bound) {
            do {
                Systematic strategy(options_, bound);
                do {
                    if (outcome_.schedules >= options_.schedules) return false;
                    if (run(strategy, false)) return true;
                    if (!strategy.walked()) {
                        engine.found(Finding::Nondeterminism, kDiffers);
                        return true;
                    }
                } while (strategy.advance());
            } while (engine.publish_shared());
            outcome_.complete = static_cast<s32>(bound);
        }
        return false;
    }

    void random() {
        u64 points = 100;
        for (u64 i = 0; i < options_.random_schedules; ++i) {
            engine.publish_shared();
            Random strategy(options_, options_.seed * 1'000'003 + i, points, static_cast<u32>(i));
            if (run(strategy, false)) return;
            points = std::max(points, strategy.points());
        }
    }

    bool fails_alike(const std::vector<Deviation>& deviations, Finding finding) {
        Replay strategy(deviations);
        return run(strategy, false) && engine.finding() == finding;
    }

    // Leaves out deviations as long as the finding stays.
    void reduce_and_report(std::vector<Deviation> deviations) {
        engine.share_all(true);
        const Finding finding = engine.finding();
        if (finding == Finding::Nondeterminism) return report(deviations);
        u32 attempts = 0;
        for (bool smaller = true; smaller && attempts < 2000;) {
            smaller = false;
            for (size_t i = deviations.size(); i-- > 0 && attempts < 2000;) {
                std::vector<Deviation> fewer = deviations;
                fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(i));
                ++attempts;
                if (!fails_alike(fewer, finding)) continue;
                deviations = engine.deviations();  // those that were taken
                smaller = true;
                i = std::min(i, deviations.size());
            }
        }
        report(deviations);
    }

    void report(const std::vector<Deviation>& deviations) {
        const Finding before = engine.finding();
        const std::string what = engine.what();
        if (before != Finding::Nondeterminism) {
            Replay strategy(deviations);
            run(strategy, true);
        }
        outcome_.finding = engine.finding();
        outcome_.what = engine.what();
        if (engine.finding() == Finding::None && before != Finding::None) {
            outcome_.finding = Finding::Nondeterminism;
            outcome_.what = "seen once, not again: " + what;
        }
        outcome_.replay = std::string(options_.name) + ":" + to_text(deviations);
        outcome_.report = std::string(name_of(outcome_.finding)) + ": " + outcome_.what +
                          "\n  after " + outcome_.summary() +
                          "\n  again, with its steps: BAREBPF_EXPLORE='" + outcome_.replay + "'\n" +
                          engine.trace_text();
    }

    const Options& options_;
    const Maker& maker_;
    Outcome outcome_;
};

// Sanitizers make each step several times as long.
u64 affordable(u64 schedules) {
#if defined(EXPLORE_ASAN)
    return (schedules + 3) / 4;
#else
    return schedules;
#endif
}

}  // namespace

// ── Text ──────────────────────────────────────────────────────────────────────────────────────

std::string to_text(const std::vector<Deviation>& deviations) {
    std::string text;
    for (const Deviation& d : deviations) {
        if (!text.empty()) text += ',';
        text += std::to_string(d.fiber) + "." + std::to_string(d.at);
        switch (d.act) {
            case Act::Switch:
                text += ">" + std::to_string(d.value);
                break;
            case Act::Nmi:
                text += "!";
                break;
            case Act::Stale:
                text += "-" + std::to_string(d.value);
                break;
            case Act::FailAllocation:
                text += "x";
                break;
            case Act::Go:
                break;
        }
    }
    return text;
}

bool from_text(const std::string& text, std::vector<Deviation>* deviations) {
    deviations->clear();
    const char* at = text.c_str();
    while (*at) {
        Deviation d{};
        int length = 0;
        char act = 0;
        if (sscanf(at, "%u.%u%c%n", &d.fiber, &d.at, &act, &length) < 3) return false;
        at += length;
        switch (act) {
            case '>':
            case '-':
                d.act = act == '>' ? Act::Switch : Act::Stale;
                if (sscanf(at, "%u%n", &d.value, &length) < 1) return false;
                at += length;
                break;
            case '!':
                d.act = Act::Nmi;
                break;
            case 'x':
                d.act = Act::FailAllocation;
                break;
            default:
                return false;
        }
        deviations->push_back(d);
        if (*at == ',') ++at;
    }
    return true;
}

std::string Outcome::summary() const {
    std::string text = name + ": " + std::to_string(schedules) + " executions of " +
                       std::to_string(steps / (schedules ? schedules : 1)) + " steps";
    if (complete >= 0) text += ", all with up to " + std::to_string(complete) + " deviations";
    return text;
}

Outcome explore(const Options& given, const Maker& maker) {
    Options options = given;
    options.schedules = affordable(options.schedules);
    options.random_schedules = affordable(options.random_schedules);
    const char* wanted = getenv("BAREBPF_EXPLORE");
    const size_t length = strlen(options.name);
    if (wanted && strncmp(wanted, options.name, length) == 0 && wanted[length] == ':') {
        Outcome outcome = replay(options, maker, wanted);
        printf("%s", outcome.report.c_str());
        return outcome;
    }
    return Search(options, maker).search();
}

Outcome replay(const Options& options, const Maker& maker, const std::string& replay) {
    std::vector<Deviation> deviations;
    const size_t colon = replay.find(':');
    if (colon == std::string::npos || !from_text(replay.substr(colon + 1), &deviations)) {
        Outcome bad;
        bad.finding = Finding::Nondeterminism;
        bad.what = bad.report = "not a replay string: " + replay;
        return bad;
    }
    return Search(options, maker).replay(deviations);
}

}  // namespace barebpf::explore
