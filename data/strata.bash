# SPDX-License-Identifier: Apache-2.0
# Bash completion for strata: the command itself says what may follow, so that this never goes stale.
# Use: source <(strata completion bash), or install as /usr/share/bash-completion/completions/strata.

_strata()
{
	local line=${COMP_LINE:0:COMP_POINT} cur words prefix IFS

	# COMP_WORDS is cut at colons, which images' names hold: split the line at blanks instead
	read -ra words <<<"$line"
	cur=
	if [[ $line != *[[:blank:]] ]]; then
		cur=${words[-1]}
		unset 'words[-1]'
	fi

	IFS=$'\n'
	COMPREPLY=($(compgen -W "$("${words[0]:-strata}" completion words -- "${words[@]:1}" \
		2>/dev/null)" -- "$cur"))

	# readline replaces only what follows the last colon
	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
		prefix=${cur%"${cur##*:}"}
		COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
	fi
}

complete -o bashdefault -o default -F _strata strata
