// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The string functions of C that tests and the C++ library's headers call. Context: any.
#include <stddef.h>

extern "C" {

size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length]) ++length;
    return length;
}

size_t strnlen(const char* text, size_t limit) {
    size_t length = 0;
    while (length < limit && text[length]) ++length;
    return length;
}

int strncmp(const char* left, const char* right, size_t limit) {
    for (; limit; ++left, ++right, --limit) {
        const auto l = static_cast<unsigned char>(*left), r = static_cast<unsigned char>(*right);
        if (l != r) return l < r ? -1 : 1;
        if (!l) break;
    }
    return 0;
}

int strcmp(const char* left, const char* right) {
    return strncmp(left, right, static_cast<size_t>(-1));
}

char* strchr(const char* text, int wanted) {
    for (;; ++text) {
        if (*text == static_cast<char>(wanted)) return const_cast<char*>(text);
        if (!*text) return nullptr;
    }
}

char* strrchr(const char* text, int wanted) {
    const char* last = nullptr;
    for (;; ++text) {
        if (*text == static_cast<char>(wanted)) last = text;
        if (!*text) return const_cast<char*>(last);
    }
}

char* strstr(const char* text, const char* wanted) {
    const size_t length = strlen(wanted);
    for (;; ++text) {
        if (strncmp(text, wanted, length) == 0) return const_cast<char*>(text);
        if (!*text) return nullptr;
    }
}

char* strcpy(char* to, const char* from) {
    char* at = to;
    while ((*at++ = *from++)) {
    }
    return to;
}

char* strncpy(char* to, const char* from, size_t size) {
    size_t i = 0;
    for (; i < size && from[i]; ++i) to[i] = from[i];
    for (; i < size; ++i) to[i] = '\0';
    return to;
}

char* strcat(char* to, const char* from) {
    strcpy(to + strlen(to), from);
    return to;
}

}  // extern "C"
