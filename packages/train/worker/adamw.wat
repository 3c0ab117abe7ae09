;; AdamW's inner loop, four numbers at a time, in float32 as torch computes it: worker/optimizer.mjs copies a piece of each
;; tensor here and back. Lengths are multiples of four; what is behind a tensor's end is computed and not copied back.
;;
;; adamw.wasm is this file assembled by wabt (node packages/train/worker/assemble.mjs); src/adamw.test.ts compares the two.
(module
  (memory (export "memory") 5)

  ;; g ← g · factor;  m ← m + (1 − β₁)(g − m);  v ← β₂·v + (1 − β₂)·g²;  p ← p·keep − rate · m / (√v · correction + eps)
  (func (export "adamw")
    (param $p i32) (param $g i32) (param $m i32) (param $v i32) (param $bytes i32)
    (param $factor f32) (param $first f32) (param $beta2 f32) (param $second f32)
    (param $keep f32) (param $rate f32) (param $correction f32) (param $eps f32)
    (local $at i32) (local $gradient v128) (local $mean v128) (local $square v128)
    (loop $next
      (local.set $gradient
        (f32x4.mul (v128.load (i32.add (local.get $g) (local.get $at))) (f32x4.splat (local.get $factor))))
      (local.set $mean (v128.load (i32.add (local.get $m) (local.get $at))))
      (local.set $mean
        (f32x4.add
          (local.get $mean)
          (f32x4.mul (f32x4.splat (local.get $first)) (f32x4.sub (local.get $gradient) (local.get $mean)))))
      (local.set $square
        (f32x4.add
          (f32x4.mul (v128.load (i32.add (local.get $v) (local.get $at))) (f32x4.splat (local.get $beta2)))
          (f32x4.mul (f32x4.mul (local.get $gradient) (local.get $gradient)) (f32x4.splat (local.get $second)))))
      (v128.store (i32.add (local.get $m) (local.get $at)) (local.get $mean))
      (v128.store (i32.add (local.get $v) (local.get $at)) (local.get $square))
      (v128.store
        (i32.add (local.get $p) (local.get $at))
        (f32x4.sub
          (f32x4.mul (v128.load (i32.add (local.get $p) (local.get $at))) (f32x4.splat (local.get $keep)))
          (f32x4.div
            (f32x4.mul (local.get $mean) (f32x4.splat (local.get $rate)))
            (f32x4.add
              (f32x4.mul (f32x4.sqrt (local.get $square)) (f32x4.splat (local.get $correction)))
              (f32x4.splat (local.get $eps))))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $bytes))))))
