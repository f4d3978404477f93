# bash completion for twinkeeper: commands and options are those of its own help.
_twinkeeper() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" program="${COMP_WORDS[0]}"
  local -a command=()
  local part
  for part in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $part == -* || ${#command[@]} -eq 2 ]] && break
    command+=("$part")
  done
  COMPREPLY=()
  local help
  help=$("$program" "${command[@]}" --help 2>/dev/null) || { command=("${command[0]}"); help=$("$program" "${command[@]}" --help 2>/dev/null); }
  case $before in
    log-level) mapfile -t COMPREPLY < <(compgen -W "trace debug info warning error" -- "$word"); return ;;
    --rows|--for|--horizon|--sample-time|--capture-limit) return ;;
    --*) grep -qE "^ +$before( |,)?.* (TEXT|PATH|FILE)" <<<"$help" && { compopt -o default; return; } ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(grep -oE -- '^ +(-[a-z],)?--[a-z0-9-]+' <<<"$help" | grep -oE -- '--[a-z0-9-]+')" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(awk '/^Subcommands:/{on=1;next} /^[^ ]/{on=0} on && NF {print $1}' <<<"$help")" -- "$word")
    [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default
  fi
}
complete -F _twinkeeper twinkeeper
