#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the decoder's tables from the lines of src/x86/insns/*.txt; src/x86/insns/NOTATION explains them.

x86_tables.py OUT.c INSN.h FILE...    INSN.h: where enum x86_op is

A line becomes a form (struct x86_form) and the conditions under which its bytes mean it. The lines of one opcode become a
tree of switches over those conditions; where two fit, the one with more conditions wins, and a tie is an error.
"""
import re
import sys

DIMS = {'PREFIX': 4, 'CODE': 2, 'W': 2, 'B': 2, 'L': 4, 'MOD': 2, 'REG': 8, 'RM': 8}
PREFIX = {'NP': [0], '66': [1], 'F3': [2], 'F2': [3], 'NF': [0, 1]}
LENGTH = {'128': 0, '256': 1, '512': 2}
ROOT = {('legacy', 0): 0, ('legacy', 1): 1, ('legacy', 2): 2, ('legacy', 3): 3, ('vex', 1): 4, ('vex', 2): 5,
        ('vex', 3): 6, ('evex', 1): 7, ('evex', 2): 8, ('evex', 3): 9, ('evex', 5): 10, ('evex', 6): 11}
MAPS = {'0F': 1, '0F38': 2, '0F3A': 3, 'MAP5': 5, 'MAP6': 6}
SIZES = {'0': '0', 'b': 'B', 'w': 'W', 'd': 'D', 'q': 'Q', 't': 'T', 'dq': 'DQ', 'qq': 'QQ', 'zq': 'ZQ', '512': 'FX',
         '576': 'XS', 'v': 'V', 'z': 'Z', 'y': 'Y', 'm': 'M', 'p': 'P', '2v': '2V', 'g': 'G', 'env': 'ENV',
         'save': 'SAVE', 'x': 'X', 'h': 'H', 'f': 'F', 'e': 'E', 'ddup': 'DDUP'}
FIELD_REG = {'G': 'GPR', 'V': 'VEC', 'P': 'MMX', 'S': 'SEG', 'C': 'CR', 'D': 'DR', 'K': 'MASK'}
FIELD_RM = {'E': 'GPR', 'R': 'GPR', 'W': 'VEC', 'U': 'VEC', 'Q': 'MMX', 'N': 'MMX', 'X': 'MASK', 'F': 'MASK', 'M': 'MEM'}
FIELD_VVVV = {'H': 'VEC', 'B': 'GPR', 'A': 'MASK'}
REGISTERS = ['AX', 'CX', 'DX', 'BX', 'SP', 'BP', 'SI', 'DI', '8', '9', '10', '11']
FLAG_BITS = 'c.p.a.zstido'  # by their places in RFLAGS
IMMEDIATES = {'Ib': 'B', 'Is': 'S', 'Iw': 'W', 'Iz': 'Z', 'Iv': 'V', 'Jb': 'S', 'Jz': 'Z', 'Ap': 'AP'}
ATTRS = {'lock': 'LOCK', 'd64': 'D64', 'rep': 'REP', 'dx': 'DX', 'bits': 'BITS', 'count': 'COUNT', 'cl': 'CL',
         'vsib': 'VSIB', 'k': 'MASK', 'er': 'ROUND', 'sae': 'SAE', '3dnow': '3DNOW', 'gather': 'GATHER',
         'distinct': 'DISTINCT'}
NOT_FIELDS = {'xlat', 'maskmov'}


class Form:
    """One line: its place in the tables, the conditions that lead to it, and the fields of struct x86_form."""

    def __init__(self, where, opcode, text, attrs, ops):
        self.where = where
        self.enc, self.map, self.needs = 'legacy', 0, {}
        self.fields = {'op': 'X86_OP_DATA', 'reg': '0', 'rm': '0', 'vvvv': '0', 'op_size': None, 'rm_size': None,
                       'mem_size': 'X86_SIZE_0', 'disp_size': None, 'broadcast': '0', 'imm': None, 'mem': 'X86_MEM_NONE',
                       'align': None}
        self.attrs, self.uses, self.opcodes = set(), set(), []
        self.implicit = [0, 0, 0]
        self.flags = {'r': 0, 'w': 0, 'u': 0}
        self.unaligned = False
        self.parse_opcode(opcode.split())
        words = text.split()
        if words[0] in ops:
            self.fields['op'] = 'X86_OP_' + words[0]
        if words[0] in ('JCC', 'SETCC', 'CMOVCC'):
            self.attrs.add('CC')
        for word in words[1:]:
            self.parse_operand(word)
        for word in attrs.split():
            self.parse_attr(word)
        self.finish()

    def need(self, dim, values):
        if dim in self.needs and self.needs[dim] != values:
            raise ValueError(f'{self.where}: {dim} twice')
        self.needs[dim] = values

    def parse_opcode(self, tokens):
        first = tokens[0].split('.')
        if first[0] in ('VEX', 'EVEX'):
            self.enc = first[0].lower()
            lengths = [LENGTH[w] for w in first if w in LENGTH]
            prefix = [PREFIX[w] for w in first if w in PREFIX]
            self.map = [MAPS[w] for w in first if w in MAPS][0]
            self.need('PREFIX', prefix[0] if prefix else [0])
            if lengths:
                self.need('L', lengths)
            for i in (0, 1):
                if f'W{i}' in first:
                    self.need('W', [i])
            tokens = tokens[1:]
        else:
            while tokens[0] in PREFIX or '=' in tokens[0]:
                if '=' in tokens[0]:
                    self.need(tokens[0][0], [int(tokens[0][2])])
                else:
                    self.need('PREFIX', PREFIX[tokens[0]])
                tokens = tokens[1:]
            if tokens[0] == '0F':
                self.map, tokens = 1, tokens[1:]
                if tokens[0] in ('38', '3A'):
                    self.map, tokens = MAPS['0F' + tokens[0]], tokens[1:]
            if self.needs.get('PREFIX') in ([1], [2], [3]):
                self.attrs.add('MANDATORY')
        base, _, plus = tokens[0].partition('+')
        opcode = int(base, 16)
        self.opcodes = [opcode + i for i in range({'': 1, 'r': 8, 'cc': 16}[plus])]
        if self.map == 0 and 0xd8 <= opcode <= 0xdf:
            self.uses.add('X87')
        for token in tokens[1:]:
            self.attrs.add('MODRM')
            if token[0] == '/':
                self.need('REG', [int(token[1])])
            else:
                modrm = int(token, 16)
                self.need('MOD', [1])
                self.need('REG', [modrm >> 3 & 7])
                self.need('RM', [modrm & 7])

    def access(self, word):
        if word[0] in '=+':
            return word[1:], ('X86_FORM_WRITE' if word[0] == '=' else 'X86_FORM_READ | X86_FORM_WRITE')
        return word, 'X86_FORM_READ'

    def parse_operand(self, word):
        name, access = self.access(word)
        if name in IMMEDIATES:
            self.fields['imm'] = IMMEDIATES[name]
        elif name == 'I2':
            self.fields['imm'] += 'B'
        elif name in NOT_FIELDS:
            self.fields['mem'] = {'xlat': 'X86_MEM_XLAT', 'maskmov': 'X86_MEM_MASK'}[name]
            self.fields['mem_size'] = {'xlat': 'X86_SIZE_B', 'maskmov': 'X86_SIZE_X'}[name]
            if name == 'maskmov' and 'MMX' in self.uses:
                self.fields['mem_size'] = 'X86_SIZE_Q'
            if name == 'xlat':
                self.fields['rm'] += ' | X86_FORM_READ'
        elif self.parse_implicit(name, access):
            pass
        elif name[0] == 'O':
            self.memory('X86_MEM_MOFFS', name[1:], access)
            self.op_size(name[1:])
        elif name[0] in 'YT' and name[1:] in ('b', 'v', 'z'):
            self.memory('X86_MEM_SI' if name[0] == 'Y' else 'X86_MEM_DI', name[1:], access)
            self.op_size(name[1:])
        elif name == 'STi':
            self.field('rm', 'ST', access, reg_only=True)
        elif name == 'Sop':
            self.fields['reg'] = f'X86_FIELD_SEG | {access}'
            self.attrs.add('SEGOP')
        elif name[0] == 'Z':
            self.fields['rm'] = f'X86_FIELD_GPR | {access}'
            self.attrs.add('OPREG')
            self.op_size(name[1:])
        elif name[0] == 'L':
            self.attrs.add('IS4')
            self.vector('VEC')
        elif '/' in name:
            reg, mem = name.split('/')
            self.rm(reg[0], reg[1:], mem[1:], access)
        elif name[0] in FIELD_REG:
            self.field('reg', FIELD_REG[name[0]], '0' if name == 'G0' else access)
            if name[0] == 'G':
                self.op_size(name[1:], first=True)
        elif name[0] in FIELD_VVVV:
            self.field('vvvv', FIELD_VVVV[name[0]], access)
            if name[0] == 'B':
                self.op_size(name[1:])
        elif name[0] in FIELD_RM:
            self.rm(name[0], name[1:], name[1:], access)
        else:
            raise ValueError(f'{self.where}: operand {word}')

    def vector(self, kind):
        if kind == 'VEC':
            self.uses.add({'legacy': 'SSE', 'vex': 'AVX', 'evex': 'AVX512'}[self.enc])
        elif kind == 'MASK' and self.enc == 'vex':
            self.uses.add('MASKS')
        elif kind == 'MMX':
            self.uses.add('MMX')

    def field(self, which, kind, access, reg_only=False):
        self.vector(kind)
        if which != 'vvvv':
            self.attrs.add('MODRM')
        if which == 'rm' and reg_only:
            self.need('MOD', [1])
        self.fields[which] = f'X86_FIELD_{kind} | {access}'

    def memory(self, mem, size, access):
        self.fields['mem'] = mem
        self.fields['mem_size'] = 'X86_SIZE_' + SIZES[size]
        self.fields['rm'] += f' | {access}'

    def rm(self, letter, size, mem_size, access):
        """ModRM.rm: letters of registers only ask for mod 3, M for memory."""
        kind = FIELD_RM[letter]
        if letter == 'R' and size == 'm' and self.fields['op'].startswith(('X86_OP_MOV_FROM_', 'X86_OP_MOV_TO_')):
            self.attrs.add('REG_ONLY')
        elif letter in 'UNF' or (letter == 'R' and size == mem_size):
            self.need('MOD', [1])
        elif letter == 'M':
            self.need('MOD', [0])
        if size == '0':
            access = '0'
        self.field('rm', kind, access)
        if letter in 'ER':
            self.fields['rm_size'] = 'X86_SIZE_' + SIZES[size]
            self.op_size(size)
        if letter == 'F' or mem_size == 'k':
            pass
        elif letter in 'ERWQXM':
            self.fields['mem_size'] = 'X86_SIZE_' + SIZES[mem_size]

    def op_size(self, size, first=False):
        if first or self.fields['op_size'] is None:
            self.fields['op_size'] = 'X86_SIZE_' + ('V' if size == '0' else SIZES[size])

    def parse_implicit(self, name, access):
        written = 'WRITE' in access
        read = 'READ' in access
        if name == 'all':
            mask, kind = 0xff, 'r'
        else:
            match = re.fullmatch(r'([REraz]?)(AX|CX|DX|BX|SP|BP|SI|DI|11)|([AC][LH])|(DX)', name)
            if not match:
                return False
            kind = match.group(1) or ''
            register = match.group(2) or (match.group(3) or match.group(4))[0] + 'X'
            mask = 1 << REGISTERS.index(register)
            if match.group(3):
                self.op_size('b')
            elif kind in 'rz' and kind:
                self.op_size('v' if kind == 'r' else 'z')
        if read or (written and kind == ''):
            self.implicit[0] |= mask
        if written:
            self.implicit[1] |= mask
            if kind in ('r', 'z', 'a'):
                self.implicit[2] |= mask
        return True

    def parse_attr(self, word):
        key, _, value = word.partition('=')
        if key in self.flags:
            for letter in value:
                self.flags[key] |= 1 << FLAG_BITS.index(letter)
        elif word in ATTRS:
            self.attrs.add(ATTRS[word])
        elif word == 'kz':
            self.attrs |= {'MASK', 'ZERO'}
        elif word == 'km':
            self.attrs |= {'MASK', 'MASKED'}
        elif word in ('i64', 'o64'):
            self.need('CODE', [0 if word == 'i64' else 1])
        elif word in ('reg', 'mem'):
            self.need('MOD', [1 if word == 'reg' else 0])
        elif word == 'ua':
            self.unaligned = True
        elif word == 'al':
            self.fields['align'] = '255'
        elif key == 'align':
            self.fields['align'] = value
        elif key == 'uses':
            self.uses |= {value.upper()}
        elif word in ('bw', 'bd', 'bq'):
            self.fields['broadcast'] = {'w': '2', 'd': '4', 'q': '8'}[word[1]]
        elif key == 'n':
            self.fields['disp_size'] = 'X86_SIZE_' + SIZES[value]
        else:
            raise ValueError(f'{self.where}: attribute {word}')

    def finish(self):
        fields = self.fields
        if self.enc == 'evex':
            self.uses.add('AVX512')
        if self.enc != 'legacy':
            self.attrs.add('MODRM') if fields['reg'] != '0' or fields['rm'] != '0' else None
        if fields['align'] is None:
            sse = self.enc == 'legacy' and 'SSE' in self.uses and fields['mem_size'] == 'X86_SIZE_DQ'
            fields['align'] = '16' if sse and not self.unaligned else '0'
        fields['imm'] = 'X86_IMM_' + (fields['imm'] or ('B' if 'IS4' in self.attrs else 'NONE'))
        fields['op_size'] = fields['op_size'] or 'X86_SIZE_V'
        fields['rm_size'] = fields['rm_size'] or fields['op_size']
        fields['disp_size'] = fields['disp_size'] or fields['mem_size']

    def row(self, implicits, flag_sets):
        fields = dict(self.fields)
        fields['implicit'] = str(index_of(implicits, tuple(self.implicit)))
        flags = self.flags
        fields['flags'] = str(index_of(flag_sets, (flags['r'], flags['w'] | flags['u'], flags['u'])))
        fields['uses'] = ' | '.join('X86_USES_' + u for u in sorted(self.uses)) or '0'
        fields['attrs'] = ' | '.join('X86_FORM_' + a for a in sorted(self.attrs)) or '0'
        text = ', '.join(f'.{k} = {v.removeprefix("0 | ")}' for k, v in fields.items() if v not in ('0', None))
        return '{ ' + text + ' }'


def index_of(table, entry):
    if entry not in table:
        table.append(entry)
    return table.index(entry)


def read_forms(paths, ops):
    for path in paths:
        for number, line in enumerate(open(path, encoding='utf-8'), 1):
            line = line.split('#')[0].strip()
            if line:
                where = f'{path}:{number}'
                parts = [part.strip() for part in line.split(' : ')]
                try:
                    yield Form(where, parts[0], parts[1], parts[2] if len(parts) > 2 else '', ops)
                except (KeyError, IndexError, ValueError) as error:
                    sys.exit(f'{where}: {line}: {error!r}')


class Tables:
    def __init__(self):
        self.rows, self.implicits, self.flag_sets, self.tree = [], [], [], []
        self.nodes = {}

    def node(self, forms, dims):
        """The number that stands for these forms, all asked but `dims`."""
        fit = [form for form in forms if form]
        for i, dim in enumerate(dims):
            if not any(dim in form.needs for form in fit):
                continue
            children = []
            for value in range(DIMS[dim]):
                chosen = [f for f in fit if value in f.needs.get(dim, [value])]
                children.append(self.node(chosen, dims[i + 1:]))
            return self.switch(dim, tuple(children))
        if not fit:
            return 0
        best = max(len(form.needs) for form in fit)
        fit = [form for form in fit if len(form.needs) == best]
        rows = {form.row(self.implicits, self.flag_sets) for form in fit}
        if len(rows) > 1:
            sys.exit('the same bytes: ' + ', '.join(form.where for form in fit))
        return index_of(self.rows, rows.pop()) + 1

    def switch(self, dim, children):
        if len(set(children)) == 1:
            return children[0]
        key = (dim, children)
        if key not in self.nodes:
            self.nodes[key] = len(self.tree) | 0x8000
            self.tree += [list(DIMS).index(dim), *children]
        return self.nodes[key]


def write(path, tables, roots):
    with open(path, 'w', encoding='utf-8') as out:
        out.write('/* Made by tools/x86_tables.py from src/x86/insns. */\n#include "x86/decode_form.h"\n\n')
        out.write('const struct x86_form x86_forms[] = {\n\t{ 0 },\n')
        for row in tables.rows:
            out.write(f'\t{row},\n')
        out.write('};\n\nconst struct x86_implicit x86_implicits[] = {\n')
        for entry in tables.implicits:
            out.write('\t{ %#xU, %#xU, %#xU },\n' % entry)
        out.write('};\n\nconst struct x86_flag_set x86_flag_sets[] = {\n')
        for entry in tables.flag_sets:
            out.write('\t{ %#xU, %#xU, %#xU },\n' % entry)
        out.write('};\n\nconst uint16_t x86_tree[] = {\n')
        for i in range(0, len(tables.tree), 16):
            out.write('\t' + ', '.join(str(n) for n in tables.tree[i:i + 16]) + ',\n')
        out.write('};\n\nconst uint16_t x86_roots[X86_ROOTS][256] = {\n')
        for root in roots:
            out.write('\t{ ' + ', '.join(str(n) for n in root) + ' },\n')
        out.write('};\n')


def main():
    out, header, *paths = sys.argv[1:]
    ops = set(re.findall(r'\bX86_OP_(\w+)', open(header, encoding='utf-8').read()))
    places = [[[] for _ in range(256)] for _ in range(12)]
    for form in read_forms(paths, ops):
        for opcode in form.opcodes:
            places[ROOT[form.enc, form.map]][opcode].append(form)
    tables = Tables()
    roots = [[tables.node(forms, list(DIMS)) for forms in place] for place in places]
    if len(tables.tree) >= 0x8000 or len(tables.rows) >= 0x7fff:
        sys.exit('the tables are too large for their indices')
    write(out, tables, roots)


main()
