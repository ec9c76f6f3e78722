// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Runs one program of an object on each packet of a capture by BPF_PROG_TEST_RUN, and prints as
 * JSON what came out: how often each return value and error, a hash of all packets as the program
 * left them, and the contents of the maps. A plain libbpf client: run as it is, it shows what the
 * running kernel does; with libbarebpf.so preloaded, what barebpf does.
 *
 *     oracle OBJECT PROGRAM CAPTURE [MAP=KEY:VALUE]...
 *
 * A setting puts an element, given in hex, into a map before the first packet; the same on each CPU into maps with a
 * value for each, whose contents are shown as sums over the CPUs, of 8-byte words. Maps that would be pinned are not.
 *
 * Exit status: 0, 1 if something failed, 2 for wrong usage.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* it has a struct bpf_insn of its own */
#include <pcap/pcap.h>

enum { MAX_OUTCOMES = 64, MAX_PACKET = 1 << 16 };

struct outcome {
    long long value;
    unsigned long long count;
};

struct histogram {
    struct outcome outcomes[MAX_OUTCOMES];
    int used;
};

struct result {
    struct histogram verdicts;
    struct histogram errors;
    unsigned long long packets;
    unsigned long long output_hash;
};

/* Kept sorted by value, so that equal results print equally. Signed: TC_ACT_UNSPEC is -1. */
static void count(struct histogram* histogram, long long value) {
    int at = 0;
    while (at < histogram->used && histogram->outcomes[at].value < value) ++at;
    if (at == histogram->used || histogram->outcomes[at].value != value) {
        if (histogram->used == MAX_OUTCOMES) {
            fprintf(stderr, "oracle: more than %d different outcomes\n", MAX_OUTCOMES);
            exit(1);
        }
        memmove(&histogram->outcomes[at + 1], &histogram->outcomes[at],
                (histogram->used - at) * sizeof(histogram->outcomes[0]));
        histogram->outcomes[at] = (struct outcome){value, 0};
        ++histogram->used;
    }
    ++histogram->outcomes[at].count;
}

/* FNV-1a */
static unsigned long long hash(unsigned long long state, const void* data, size_t size) {
    const unsigned char* bytes = data;
    for (size_t i = 0; i < size; ++i) state = (state ^ bytes[i]) * 0x100000001b3ull;
    return state;
}

static void run_packet(int program, const unsigned char* packet, unsigned length,
                       struct result* result) {
    static unsigned char out[MAX_PACKET];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length,
                .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
    ++result->packets;
    if (bpf_prog_test_run_opts(program, &options)) {
        count(&result->errors, errno);
        return;
    }
    count(&result->verdicts, (int)options.retval);
    result->output_hash = hash(result->output_hash, &options.retval, sizeof(options.retval));
    result->output_hash = hash(result->output_hash, &options.data_size_out, sizeof(__u32));
    result->output_hash = hash(result->output_hash, out, options.data_size_out);
}

static bool run_capture(int program, const char* path, struct result* result) {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* capture = pcap_open_offline(path, error);
    if (!capture) {
        fprintf(stderr, "oracle: %s: %s\n", path, error);
        return false;
    }
    struct pcap_pkthdr* header;
    const unsigned char* packet;
    int status;
    while ((status = pcap_next_ex(capture, &header, &packet)) == 1)
        run_packet(program, packet, header->caplen, result);
    if (status == PCAP_ERROR) fprintf(stderr, "oracle: %s: %s\n", path, pcap_geterr(capture));
    pcap_close(capture);
    return status != PCAP_ERROR;
}

static void print_histogram(const char* name, const struct histogram* histogram) {
    printf("  \"%s\": {", name);
    for (int i = 0; i < histogram->used; ++i)
        printf("%s\"%lld\": %llu", i ? ", " : "", histogram->outcomes[i].value,
               histogram->outcomes[i].count);
    printf("},\n");
}

static char* to_hex(const unsigned char* bytes, size_t size) {
    char* text = malloc(2 * size + 1);
    for (size_t i = 0; i < size; ++i) sprintf(text + 2 * i, "%02x", bytes[i]);
    text[2 * size] = 0;
    return text;
}

struct element {
    char* key;
    char* value;
};

static int by_key(const void* a, const void* b) {
    return strcmp(((const struct element*)a)->key, ((const struct element*)b)->key);
}

/* Constants and program arrays hold no result. */
static bool holds_results(const struct bpf_map* map) {
    return bpf_map__type(map) != BPF_MAP_TYPE_PROG_ARRAY &&
           !(bpf_map__map_flags(map) & BPF_F_RDONLY_PROG);
}

static bool is_percpu(const struct bpf_map* map) {
    enum bpf_map_type type = bpf_map__type(map);
    return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
           type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* Adds up the values of all CPUs in the first one's place. False: all are zero, as in an array where nothing happened. */
static bool sum_over_cpus(unsigned char* values, size_t value_size, int cpus) {
    unsigned long long any = 0;
    size_t stride = (value_size + 7) / 8 * 8;
    for (size_t at = 0; at < stride; at += 8) {
        unsigned long long sum = 0, word;
        for (int cpu = 0; cpu < cpus; ++cpu) {
            memcpy(&word, values + cpu * stride + at, 8);
            sum += word;
        }
        memcpy(values + at, &sum, 8);
        any |= sum;
    }
    return any;
}

/* Every element, sorted by key: the order of iteration is no part of the result. Returns the count.
 */
static size_t read_map(const struct bpf_map* map, struct element** elements) {
    int fd = bpf_map__fd(map), cpus = libbpf_num_possible_cpus();
    size_t key_size = bpf_map__key_size(map), value_size = bpf_map__value_size(map);
    unsigned char *key = malloc(key_size), *value = malloc((value_size + 7) / 8 * 8 * cpus);
    size_t used = 0, room = 0;
    int failed = bpf_map_get_next_key(fd, NULL, key);
    for (; !failed; failed = bpf_map_get_next_key(fd, key, key)) {
        if (bpf_map_lookup_elem(fd, key, value)) continue;
        if (is_percpu(map) && !sum_over_cpus(value, value_size, cpus)) continue;
        if (used == room)
            *elements = realloc(*elements, (room = room ? 2 * room : 16) * sizeof(**elements));
        (*elements)[used++] = (struct element){to_hex(key, key_size), to_hex(value, value_size)};
    }
    free(key);
    free(value);
    qsort(*elements, used, sizeof(**elements), by_key);
    return used;
}

/* libbpf calls the maps of global data OBJECT.bss: named here by the section alone. */
static const char* map_name(const struct bpf_map* map) {
    const char* name = bpf_map__name(map);
    const char* section = strchr(name, '.');
    return section ? section : name;
}

static void print_map(const struct bpf_map* map) {
    struct element* elements = NULL;
    size_t used = read_map(map, &elements);
    printf("\n    \"%s\": {", map_name(map));
    for (size_t i = 0; i < used; ++i) {
        printf("%s\n      \"%s\": \"%s\"", i ? "," : "", elements[i].key, elements[i].value);
        free(elements[i].key);
        free(elements[i].value);
    }
    printf("}");
    free(elements);
}

static void print_result(const struct bpf_object* object, const struct result* result) {
    printf("{\n  \"packets\": %llu,\n", result->packets);
    print_histogram("verdicts", &result->verdicts);
    print_histogram("errors", &result->errors);
    printf("  \"output_hash\": \"%016llx\",\n  \"maps\": {", result->output_hash);
    const struct bpf_map* map;
    bool first = true;
    bpf_object__for_each_map(map, object) {
        if (!holds_results(map)) continue;
        printf("%s", first ? "" : ",");
        print_map(map);
        first = false;
    }
    printf("}\n}\n");
}

static bool from_hex(const char* text, size_t length, unsigned char* bytes, size_t size) {
    if (length != 2 * size) return false;
    for (size_t i = 0; i < size; ++i)
        if (sscanf(text + 2 * i, "%2hhx", bytes + i) != 1) return false;
    return true;
}

/* MAP=KEY:VALUE */
static bool set_element(const struct bpf_object* object, char* setting) {
    char *key = strchr(setting, '='), *value = key ? strchr(key, ':') : NULL;
    if (!value) return false;
    *key++ = 0, *value++ = 0;
    const struct bpf_map* map = bpf_object__find_map_by_name(object, setting);
    if (!map) return false;
    size_t key_size = bpf_map__key_size(map), value_size = bpf_map__value_size(map);
    size_t stride = (value_size + 7) / 8 * 8;
    int copies = is_percpu(map) ? libbpf_num_possible_cpus() : 1;
    unsigned char *key_bytes = malloc(key_size), *value_bytes = calloc(copies, stride);
    bool good = from_hex(key, strlen(key), key_bytes, key_size) &&
                from_hex(value, strlen(value), value_bytes, value_size);
    for (int i = 1; i < copies; ++i) memcpy(value_bytes + i * stride, value_bytes, value_size);
    good = good && !bpf_map_update_elem(bpf_map__fd(map), key_bytes, value_bytes, BPF_ANY);
    free(key_bytes);
    free(value_bytes);
    return good;
}

static struct bpf_object* open_and_load(const char* path) {
    struct bpf_object* object = bpf_object__open_file(path, NULL);
    if (!object) return NULL;
    struct bpf_map* map;
    bpf_object__for_each_map(map, object) bpf_map__set_pin_path(map, NULL);
    return bpf_object__load(object) ? NULL : object;
}

int main(int count_of_arguments, char** arguments) {
    if (count_of_arguments < 4) {
        fprintf(stderr, "usage: oracle OBJECT PROGRAM CAPTURE [MAP=KEY:VALUE]...\n");
        return 2;
    }
    struct result result = {.output_hash = 0xcbf29ce484222325ull};
    struct bpf_object* object = open_and_load(arguments[1]);
    if (!object) {
        fprintf(stderr, "oracle: %s: %s\n", arguments[1], strerror(errno));
        return 1;
    }
    struct bpf_program* program = bpf_object__find_program_by_name(object, arguments[2]);
    if (!program) {
        fprintf(stderr, "oracle: %s has no program %s\n", arguments[1], arguments[2]);
        return 1;
    }
    for (int i = 4; i < count_of_arguments; ++i) {
        if (set_element(object, arguments[i])) continue;
        fprintf(stderr, "oracle: %s: no such map, not that size, or refused\n", arguments[i]);
        return 1;
    }
    bool good = run_capture(bpf_program__fd(program), arguments[3], &result);
    print_result(object, &result);
    bpf_object__close(object);
    return good ? 0 : 1;
}
