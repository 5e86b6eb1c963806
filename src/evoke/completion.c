/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bash and zsh scripts are one program: a table, "path|flags|values|arguments", and a few lines that walk it. zsh
 * runs it by its own emulation of bash's completion (bashcompinit). fish has declarations instead.
 */
#include "evoke/completion.h"

#include <string.h>

#include "base/bytes.h"

enum { PATH_SIZE = 128 };

/* What a word in a usage or a flag's value stands for, as a kind that the scripts know. */
static const char *kind_of(struct bytes word)
{
    static const struct {
        const char *word, *kind;
    } kinds[] = {{"FILE", "file"}, {"PATH", "file"}, {"DIR", "dir"}, {"TOPIC", "topic"}, {"GROUP", "group"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (bytes_starts_with(word, bytes_of_string(kinds[i].word)))
            return kinds[i].kind;
    return "none";
}

/* --- bash, zsh --- */

static void print_choices(const char *choices, FILE *out)
{
    for (; *choices; choices++)
        putc(*choices == '|' ? ' ' : *choices, out);
}

/* "bash|zsh|fish" */
static bool has_choices(const struct command *command)
{
    return command->flags.arguments && strchr(command->flags.arguments, '|');
}

/* The cases of one command: words, and what follows which flag. */
static void print_case(const char *path, const struct command *command, FILE *out)
{
    fprintf(out, "    '%s') words='", path);
    for (size_t i = 0; command->children && command->children[i]; i++)
        fprintf(out, "%s ", command->children[i]->name);
    flags_each(flag, &command->flags) fprintf(out, "--%s ", flag->name);
    if (has_choices(command))
        print_choices(command->flags.arguments, out);
    fprintf(out, "%s--help'; argument=%s\n        case $previous in\n", has_choices(command) ? " " : "",
            command->flags.arguments ? kind_of(bytes_of_string(command->flags.arguments)) : "none");
    flags_each(flag, &command->flags)
    {
        if (!flag->value)
            continue;
        fprintf(out, "        --%s", flag->name);
        if (flag->letter)
            fprintf(out, "|-%c", flag->letter);
        fputs(") argument=", out);
        if (flag->type == FLAG_CHOICE) {
            fputs("none words='", out);
            print_choices(flag->value, out);
            fputs("';;\n", out);
        } else {
            fprintf(out, "%s words=;;\n", kind_of(bytes_of_string(flag->value)));
        }
    }
    fputs("        esac;;\n", out);
}

static void print_cases(const char *path, const struct command *command, FILE *out)
{
    char below[PATH_SIZE];
    print_case(path, command, out);
    for (size_t i = 0; command->children && command->children[i]; i++) {
        snprintf(below, sizeof below, "%s%s%s", path, path[0] ? " " : "", command->children[i]->name);
        print_cases(below, command->children[i], out);
    }
}

/* The paths of the commands that have commands below them: only there is a word part of the path. */
static void print_parents(const char *path, const struct command *command, FILE *out)
{
    char below[PATH_SIZE];
    for (size_t i = 0; command->children && command->children[i]; i++) {
        snprintf(below, sizeof below, "%s%s%s", path, path[0] ? " " : "", command->children[i]->name);
        fprintf(out, "%s'%s'", path[0] || i > 0 ? "|" : "", below);
        print_parents(below, command->children[i], out);
    }
}

void completion_print_bash(const struct command *root, FILE *out)
{
    fputs("# Completion of evoke for bash. Made by \"evoke completion bash\".\n"
          "__evoke() {\n"
          "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} at= words= argument=none i\n"
          "  COMPREPLY=()\n"
          "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "    case \"${at:+$at }${COMP_WORDS[i]}\" in\n    ",
          out);
    print_parents("", root, out);
    fputs(") at=\"${at:+$at }${COMP_WORDS[i]}\";;\n"
          "    esac\n"
          "  done\n"
          "  case $at in\n",
          out);
    print_cases("", root, out);
    fputs("  esac\n"
          "  [[ $words && ( $current == -* || ! $words == --* ) ]] && COMPREPLY=($(compgen -W \"$words\" -- "
          "\"$current\"))\n"
          "  [[ $current == -* ]] && return\n"
          "  case $argument in\n"
          "    file) compopt -o filenames 2> /dev/null; COMPREPLY+=($(compgen -f -- \"$current\"));;\n"
          "    dir) compopt -o filenames 2> /dev/null; COMPREPLY+=($(compgen -d -- \"$current\"));;\n"
          "    topic|group) COMPREPLY+=($(compgen -W \"$(evoke $argument list -o name 2> /dev/null)\" -- "
          "\"$current\"));;\n"
          "  esac\n"
          "}\n"
          "complete -F __evoke evoke\n",
          out);
}

void completion_print_zsh(const struct command *root, FILE *out)
{
    fputs("#compdef evoke\n"
          "# Completion of evoke for zsh. Made by \"evoke completion zsh\".\n"
          "autoload -Uz bashcompinit && bashcompinit\n",
          out);
    completion_print_bash(root, out);
    fputs("[[ ${funcstack[1]} == _evoke ]] && _bash_complete -F __evoke # zsh has just loaded this file to complete\n",
          out);
}

/* --- fish --- */

/* Text within single quotes. */
static void print_quoted(const char *text, FILE *out)
{
    putc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('\'', out);
}

static void print_fish_values(const char *kind, FILE *out)
{
    if (strcmp(kind, "file") == 0)
        fputs(" -F", out);
    else if (strcmp(kind, "dir") == 0)
        fputs(" -a '(__fish_complete_directories)'", out);
    else if (strcmp(kind, "none") != 0)
        fprintf(out, " -a '(evoke %s list -o name 2> /dev/null)'", kind);
}

static void print_fish_flag(const char *path, const struct flag *flag, FILE *out)
{
    fprintf(out, "complete -c evoke -n '__evoke_at %s' -l %s", path, flag->name);
    if (flag->letter)
        fprintf(out, " -s %c", flag->letter);
    fputs(" -d ", out);
    print_quoted(flag->help, out);
    if (flag->type == FLAG_CHOICE) {
        fputs(" -x -a '", out);
        print_choices(flag->value, out);
        putc('\'', out);
    } else if (flag->value) {
        fputs(" -r", out);
        print_fish_values(kind_of(bytes_of_string(flag->value)), out);
    }
    putc('\n', out);
}

static void print_fish_command(const char *path, const struct command *command, FILE *out)
{
    char below[PATH_SIZE];
    flags_each(flag, &command->flags) print_fish_flag(path, flag, out);
    if (has_choices(command)) {
        fprintf(out, "complete -c evoke -n '__evoke_at %s' -a '", path);
        print_choices(command->flags.arguments, out);
        fputs("'\n", out);
    }
    if (command->flags.arguments && strcmp(kind_of(bytes_of_string(command->flags.arguments)), "none") != 0) {
        fprintf(out, "complete -c evoke -n '__evoke_at %s'", path);
        print_fish_values(kind_of(bytes_of_string(command->flags.arguments)), out);
        putc('\n', out);
    }
    for (size_t i = 0; command->children && command->children[i]; i++) {
        const struct command *child = command->children[i];
        fprintf(out, "complete -c evoke -n '__evoke_at %s' -a %s -d ", path, child->name);
        print_quoted(child->about, out);
        putc('\n', out);
        snprintf(below, sizeof below, "%s%s%s", path, path[0] ? " " : "", child->name);
        print_fish_command(below, child, out);
    }
}

void completion_print_fish(const struct command *root, FILE *out)
{
    fputs("# Completion of evoke for fish. Made by \"evoke completion fish\".\n"
          "function __evoke_at\n"
          "  set -l words (commandline -opc)\n"
          "  set -l path\n"
          "  for word in $words[2..-1]\n"
          "    contains -- (string join -- ' ' $path $word)",
          out);
    for (size_t i = 0; root->children[i]; i++) {
        fprintf(out, " %s", root->children[i]->name);
        for (size_t j = 0; root->children[i]->children && root->children[i]->children[j]; j++)
            fprintf(out, " '%s %s'", root->children[i]->name, root->children[i]->children[j]->name);
    }
    fputs("; and set -a path $word\n"
          "  end\n"
          "  test \"$path\" = \"$argv\"\n"
          "end\n"
          "complete -c evoke -f\n"
          "complete -c evoke -s h -l help -d 'what a command does'\n",
          out);
    print_fish_command("", root, out);
}
